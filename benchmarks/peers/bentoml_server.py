"""BentoML: one worker for each core, and a coroutine that calls the network on the event loop.

A coroutine saves the hand-over to a thread. Adaptive batching is off: it has not been compared yet. Metrics and
access log are off.
"""

# mypy: ignore-missing-imports, allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

import os

import bentoml

from benchmarks.peers.forecaster import Forecaster


@bentoml.service(
    name="sine",
    workers=int(os.environ["BENCH_WORKERS"]),
    traffic={"timeout": 60},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Sine:
    def __init__(self) -> None:
        self.forecaster = Forecaster()

    @bentoml.api(route="/predict")
    async def predict(self, sequence: list[float]) -> float:
        return self.forecaster.predict(sequence)
