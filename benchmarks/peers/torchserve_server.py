"""TorchServe: its Java frontend, and Python workers that receive batches over a socket.

There are two workers, and batches of up to 32 with the shortest possible delay, 1 ms. The workers import yaml, which
the package does not declare, so the requirements name it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]
    finally:
        for free in sockets:
            free.close()


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="torchserve-"))
    store = folder / "store"
    store.mkdir()
    subprocess.run(  # noqa: S603
        [
            *(sys.executable, "-c", "from model_archiver.model_packaging import generate_model_archive as g; g()"),
            *("--model-name", "sine", "--version", "1.0", "--export-path", str(store)),
            *("--serialized-file", os.environ["BENCH_MODEL"]),
            *("--handler", str(Path(__file__).with_name("torchserve_handler.py"))),
        ],
        check=True,
    )
    workers = int(os.environ["BENCH_WORKERS"])
    model = {
        "1.0": {
            "defaultVersion": True,
            "marName": "sine.mar",
            "minWorkers": workers,
            "maxWorkers": workers,
            "batchSize": 32,
            "maxBatchDelay": 1,
            "responseTimeout": 60,
        }
    }
    management, metrics, grpc_inference, grpc_management = free_ports(4)
    (folder / "config.properties").write_text(
        "\n".join(
            [
                f"inference_address=http://127.0.0.1:{sys.argv[1]}",
                f"management_address=http://127.0.0.1:{management}",
                f"metrics_address=http://127.0.0.1:{metrics}",
                f"grpc_inference_port={grpc_inference}",
                f"grpc_management_port={grpc_management}",
                "disable_system_metrics=true",
                f"model_store={store}",
                "load_models=sine.mar",
                "models=" + json.dumps({"sine": model}),
            ]
        )
        + "\n"
    )
    os.chdir(folder)
    os.execv(  # noqa: S606
        sys.executable,
        [
            *(sys.executable, "-c", "from ts.model_server import start; start()", "--start", "--foreground", "--ncs"),
            *("--ts-config", str(folder / "config.properties"), "--disable-token-auth"),
        ],
    )


if __name__ == "__main__":
    main()
