"""NVIDIA Triton: the C++ server inside the nvidia-pytriton wheel, with its Python backend.

Only the wheel's binaries are used, not PyTriton's Python proxy. Requests go HTTP (C++) → dynamic batcher (C++) → shared
memory → the model's own process. The wheel keeps one stub for each version of Python and puts none into the backend's
folder. A copy of that folder therefore gets the right one. gRPC, metrics and model control are off.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from importlib.metadata import distribution
from pathlib import Path


def main() -> None:
    wheel = distribution("nvidia-pytriton")
    server = Path(str(wheel.locate_file("pytriton/tritonserver")))
    folder = Path(tempfile.mkdtemp(prefix="triton-"))
    backends = folder / "backends"
    shutil.copytree(server / "backends", backends)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(server / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python")

    models = folder / "models"
    shutil.copytree(Path(__file__).with_name("triton"), models)
    # The stub's embedded interpreter finds the environment by PATH and does not read PYTHONPATH. It can import modules
    # from the folder of the model's file.
    shutil.copy(Path(__file__).with_name("forecaster.py"), models / "sine" / "1")
    config = models / "sine" / "config.pbtxt"
    config.write_text(config.read_text().replace("COUNT", os.environ["BENCH_WORKERS"]))

    libraries = [
        str(wheel.locate_file("nvidia_pytriton.libs")),
        sysconfig.get_config_var("LIBDIR"),
        os.environ.get("LD_LIBRARY_PATH", ""),
    ]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
    }
    program = server / "bin" / "tritonserver"
    os.execve(  # noqa: S606
        program,
        [
            str(program),
            f"--model-repository={models}",
            f"--backend-directory={backends}",
            "--http-address=127.0.0.1",
            f"--http-port={sys.argv[1]}",
            "--allow-grpc=false",
            "--allow-metrics=false",
            "--log-info=false",
        ],
        environment,
    )


if __name__ == "__main__":
    main()
