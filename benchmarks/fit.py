"""What the fit costs: the processor time of /predict with 64 values, with it and without it.

The request is answered in this process, from its head and body to the bytes of its response, with its record and
counters. It takes turns with the same model on a kernel that predicts no given value, and without expectations to
compare with. Times are the least of the rounds. The fit's share of a whole request is smaller still: no socket is read,
and no head is parsed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

import orjson
import torch

from app.api.dependencies import service_of
from app.engine.forecaster import Forecaster
from app.engine.reload import Serving
from app.engine.repository import Repository
from app.main import create_app
from app.server.inline import Immediate, InlineResponder
from app.settings import Settings
from app.shared_memory.folders import METRICS_FOLDER
from app.telemetry.middleware import Recorder
from benchmarks.artifacts import untrained
from benchmarks.report import Table, Target, number, save, targets
from benchmarks.timing import Timing, in_turns
from model.artifact import load_module, read_artifact
from model.metadata import Fitting
from model.runtime.fused import FusedRuntime

VALUES, LARGEST_PERCENT = 64, 3.0
HEAD = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"1000")]
DEFAULTS = [(b"date", b"Fri, 01 Jan 2027 00:00:00 GMT"), (b"server", b"uvicorn")]
SEQUENCE = [20 + 5 * ((7 * t) % 11 - 5) / 5 for t in range(VALUES)]


def ways(folder: Path) -> dict[str, Callable[[], object]]:
    """Return the functions to time, by name."""
    settings = Settings(model=untrained(folder, cell="gru"), access_log=False)
    (folder / "metrics").mkdir()
    os.environ[METRICS_FOLDER] = str(folder / "metrics")
    service = service_of(create_app(settings))
    service.serving.start()
    served = service.serving.repository().default
    artifact = read_artifact(settings.model)
    module = load_module(artifact, torch.device("cpu"))
    body = orjson.dumps({"sequence": SEQUENCE})
    fitting = Fitting(contexts=[8], clean=[1e-3], noisiest=[0.2], largest_ratio=[1e9])
    found: dict[str, Callable[[], object]] = {}
    for name, fit in (("with the fit", fitting), ("without", None)):
        runtime = FusedRuntime(module, artifact.metadata, errors=fit is not None)
        forecaster = Forecaster(runtime, settings, service.metrics)
        serving = Serving(settings, service.metrics)
        info = served.info.model_copy(update={"fit": fit})
        serving.current = Repository([replace(served, info=info, forecaster=forecaster)])
        responder = InlineResponder(serving, {b"/predict": service.predict}.get, service.recorder, len(body))
        found[name] = partial(answer, responder, service.predict, service.recorder, body)
    return found


def answer(responder: InlineResponder, endpoint: Immediate, recorder: Recorder, body: bytes) -> None:
    """Answer one request, and count it."""
    assert responder.answer(endpoint, HEAD, body, perf_counter(), DEFAULTS, len)  # noqa: S101
    recorder.count()


async def timed(folder: Path, rounds: int) -> dict[str, Timing]:
    """Return the times of each way. The recorder needs a running loop."""
    return in_turns(ways(folder), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=500, help="number of rounds, default: 500")
    torch.set_num_threads(1)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="fit-") as folder:
        timings = asyncio.run(timed(Path(folder), rounds))
    rows = [[name, number(took.least * 1e6), number(took.median * 1e6)] for name, took in timings.items()]
    percent = 100 * (timings["with the fit"].least / timings["without"].least - 1)
    verdict = Target("the fit, % of /predict's processor time", percent, LARGEST_PERCENT, at_most=True)
    columns = [f"/predict of {VALUES} values", "µs, least", "median"]
    save("fit", {"fit": Table(columns, rows), "targets": targets([verdict])}, {"percent": percent})


if __name__ == "__main__":
    main()
