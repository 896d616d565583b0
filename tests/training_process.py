"""Runs `python -m training` in forks of a process that has imported it: importing torch takes seconds."""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        *("training.run", "training.evaluate", "training.export", "training.card"),
        *("torch._inductor.config", "matplotlib.backends.backend_agg"),  # a run imports them late
    ]
)

_TIMEOUT_S = 180


def train(folder: Path, *options: str, plant: Callable[[], object] | None = None) -> CompletedProcess[str]:
    """Run `python -m training` with these options in `folder`. `plant` is called in its process before."""
    with TemporaryDirectory() as outputs:
        out, err = Path(outputs) / "out", Path(outputs) / "err"
        process = _forks.Process(target=_become, args=(folder, options, plant, out, err))
        process.start()
        process.join(_TIMEOUT_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        return CompletedProcess(options, process.exitcode or 0, out.read_text(), err.read_text())


def _become(folder: Path, options: Sequence[str], plant: Callable[[], object] | None, out: Path, err: Path) -> None:
    """Go on as the command."""
    for path, descriptor in ((out, 1), (err, 2)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ["COLUMNS"] = "200"
    os.chdir(folder)
    sys.argv = ["training", *options]
    if plant is not None:
        plant()
    sys.modules.pop("training.__main__", None)  # imported by tests; `python -m` runs it once
    runpy.run_module("training", run_name="__main__", alter_sys=True)
