"""Profile of a request inside a worker, without a socket: /predict of 50 values, and /generate of 1,000.

The ASGI application is called in this process with a request that is there at once. Each line adds one layer to the
line before it, from the hot path alone to the whole application as uvicorn calls it; below them stands what the hot
path itself calls. Times are the least of rounds in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import torch

from app.telemetry.access_log import AccessLog
from app.telemetry.context import RequestContext
from app.telemetry.middleware import Recorder, RecordingMiddleware
from benchmarks.artifacts import untrained
from benchmarks.peers.registry import sample
from benchmarks.report import Table, number, save
from benchmarks.timing import in_turns

Ask = Callable[[], object]


def _asker(app: Any, path: str, body: bytes, finish: Callable[[Coroutine[Any, Any, None]], object]) -> Ask:
    """Calls `app` once with a request, and has `finish` drive its coroutine to the end."""
    message = {"type": "http.request", "body": body, "more_body": False}
    headers = [(b"host", b"127.0.0.1"), (b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }

    async def receive() -> dict[str, Any]:
        return message

    async def send(_: dict[str, Any]) -> None:
        pass

    def ask() -> None:
        finish(app(dict(scope), receive, send))

    return ask


def _finish(coroutine: Coroutine[Any, Any, object]) -> None:
    """Drive a coroutine without an event loop, whose turns would be measured too."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("the request had to wait: it is not one that is computed inline")


class _SixteenATurn(Recorder):
    """Counts as if each turn of the event loop had sixteen requests: here there is no loop."""

    def finish(self, context: RequestContext) -> None:
        context.duration_s = time.perf_counter() - context.began_s
        self._ended.append(context)
        if len(self._ended) == 16:
            self.count()


def _at_once(flush: Callable[[], None]) -> None:
    """Once for each turn: more often than it is."""
    flush()


def layers(folder: Path) -> dict[str, Ask]:
    """Return the functions to time, by name."""
    from app.api.body_limit import BodyLimitMiddleware
    from app.api.dependencies import service_of
    from app.api.hotpath import Front
    from app.main import create_app, handler
    from app.settings import Settings
    from app.shared_memory.folders import METRICS_FOLDER

    settings = Settings(model=untrained(folder))
    (folder / "metrics").mkdir()
    os.environ[METRICS_FOLDER] = str(folder / "metrics")
    app = create_app(settings)
    service = service_of(app)
    metrics = service.metrics
    service.serving.start()
    served = service.serving.repository().default
    hot = Front(app, partial(handler, service))
    counted = RecordingMiddleware(hot, _SixteenATurn(metrics, None))
    log = AccessLog("json", os.open(os.devnull, os.O_WRONLY), _at_once)
    logged = RecordingMiddleware(hot, _SixteenATurn(metrics, log))
    routed = RecordingMiddleware(
        BodyLimitMiddleware(app, settings.max_body_bytes, settings.max_batch_bytes), Recorder(metrics, None)
    )
    found: dict[str, Ask] = {}
    predict, generate = service.predict, service.generate
    runtime = served.forecaster.runtime
    sample_50 = sample()
    states = runtime.encode([sample_50])
    for endpoint, steps, body in (
        (predict, 1, orjson.dumps({"sequence": sample()})),
        (generate, 1000, orjson.dumps({"sequence": sample(), "steps": 1000})),
    ):
        for name, layer in {
            "hot path": hot,
            "+ id and metrics": counted,
            "+ access log": logged,
        }.items():
            found[f"{endpoint.path}: {name}"] = _asker(layer, endpoint.path, body, _finish)
        name = f"{endpoint.path}: all through FastAPI's routing"  # its plain dependencies wait for threads
        found[name] = _asker(routed, endpoint.path, body, asyncio.new_event_loop().run_until_complete)
        values = runtime.rollout(runtime.encode([sample()]), steps)[0][0]
        found |= {
            f"{endpoint.path}: of which parse": lambda model=endpoint.model, body=body: model.model_validate_json(body),  # type: ignore[misc]
            f"{endpoint.path}: of which forecast": lambda steps=steps: _finish(  # type: ignore[misc]
                served.forecaster.forecast(sample_50, steps)
            ),
            f"{endpoint.path}: of which kernel, encode": lambda: runtime.encode([sample_50]),
            f"{endpoint.path}: of which kernel, rollout": lambda steps=steps: runtime.rollout(states, steps),  # type: ignore[misc]
            f"{endpoint.path}: of which serialise": lambda values=values: orjson.dumps(  # type: ignore[misc]
                values, option=orjson.OPT_SERIALIZE_NUMPY
            ),
        }
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="default: 200")
    torch.set_num_threads(1)
    rounds = parser.parse_args(arguments).rounds
    with tempfile.TemporaryDirectory(prefix="layers-") as folder:
        timings = in_turns(layers(Path(folder)), rounds)
    rows = [[name, number(took.least * 1e6), number(took.median * 1e6)] for name, took in timings.items()]
    table = Table(["layer", "µs, least", "median"], rows)
    save("layers", {"layers": table}, {name: asdict(took) for name, took in timings.items()})


if __name__ == "__main__":
    main()
