"""The handler that TorchServe's workers run: one call of the network for each batch from its Java frontend."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.forecaster import Forecaster

_forecaster: Forecaster | None = None


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[dict[str, float]] | None:
    """Answer one batch. TorchServe calls this once with None to initialise, then with one entry for each request of a
    batch.
    """
    global _forecaster
    if _forecaster is None:
        _forecaster = Forecaster()
    if data is None:
        return None
    sequences = [(entry.get("body") or entry["data"])["sequence"] for entry in data]
    return [{"prediction": value} for value in _forecaster.predict_many(sequences)]
