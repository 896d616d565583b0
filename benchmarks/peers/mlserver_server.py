"""MLServer: `BENCH_WORKERS` parallel workers, as its page on parallel inference advises for several cores.

Adaptive batching has its default, off. gzip, metrics and debug are off. uvloop must be older than 0.22, whose
`get_event_loop` no longer creates a loop: the parallel workers of MLServer 1.7.1 crash without it.
"""

# mypy: ignore-missing-imports, allow-subclassing-any, allow-untyped-calls

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.forecaster import Forecaster


class Sine(MLModel):
    async def load(self) -> bool:
        self.forecaster = Forecaster()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x_BT = NumpyCodec.decode_input(payload.inputs[0])
        y_B1 = self.forecaster.predict_batch(x_BT)[:, None]
        return InferenceResponse(
            model_name=self.name, model_version=self.version, outputs=[NumpyCodec.encode_output("y", y_B1)]
        )


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="mlserver-"))
    workers = int(os.environ["BENCH_WORKERS"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        grpc_port = free.getsockname()[1]
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": int(sys.argv[1]),
        "grpc_port": grpc_port,
        "metrics_endpoint": None,
        "parallel_workers": workers,
        "gzip_enabled": False,
    }
    model = {
        "name": "sine",
        "implementation": "benchmarks.peers.mlserver_server.Sine",
        "max_batch_size": 0,
        "max_batch_time": 0.0,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-c", "from mlserver.cli import main; main()", "start", str(folder)])  # noqa: S606


if __name__ == "__main__":
    main()
