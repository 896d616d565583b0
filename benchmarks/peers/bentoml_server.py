"""BentoML: one worker for each core, and a coroutine that calls the network on the event loop.

A coroutine saves the handover to a thread. `BENCH_BATCHING=1` turns adaptive batching on. `python -m benchmarks.peers
--tune` compares both. Metrics and access log are off.
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

    if os.environ.get("BENCH_BATCHING") == "1":

        @bentoml.api(route="/predict", batchable=True, max_batch_size=32, max_latency_ms=60_000)
        async def predict_many(self, sequences: list[list[float]]) -> list[float]:
            return self.forecaster.predict_many(sequences)

    else:

        @bentoml.api(route="/predict")
        async def predict(self, sequence: list[float]) -> float:
            return self.forecaster.predict(sequence)
