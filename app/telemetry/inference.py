"""What is counted of the requests of the Open Inference Protocol, for each model. Its statistics show it."""

from collections.abc import Mapping
from typing import NamedTuple

from app.telemetry.instruments import Counter
from app.telemetry.registry import Labels, Registry

OUTCOMES = ("success", "fail")
PARTS = ("compute_input", "compute_infer", "compute_output")


class Durations(NamedTuple):
    """The seconds that the three parts of an answered request took."""

    input_s: float
    infer_s: float
    output_s: float


class Totals(NamedTuple):
    """What was counted of one model, over all workers."""

    requests: Mapping[str, int]
    """By outcome."""

    seconds: Mapping[str, float]
    """By outcome, and by part of the requests that were answered."""

    sequences: int


class InferenceCounters:
    """Requests for inference with one model, their sequences, and the time that was spent on them."""

    def __init__(
        self, registry: Registry, requests: dict[Labels, Counter], seconds: dict[Labels, Counter], sequences: Counter
    ) -> None:
        self._registry = registry
        self._requests, self._seconds, self._sequences = requests, seconds, sequences

    def answered(self, sequences: int, took: Durations) -> None:
        """Count a request of so many sequences that was answered."""
        self._requests["success",].add()
        self._sequences.add(sequences)
        self._seconds["success",].add(sum(took))
        for part, seconds in zip(PARTS, took, strict=True):
            self._seconds[part,].add(seconds)

    def refused(self, seconds: float) -> None:
        """Count a request that was refused, or failed, after so long."""
        self._requests["fail",].add()
        self._seconds["fail",].add(seconds)

    def totals(self) -> Totals:
        """All of it over all workers."""
        ever = self._registry.totals()
        return Totals(
            requests={outcome: int(ever(counter)) for (outcome,), counter in self._requests.items()},
            seconds={part: ever(counter) for (part,), counter in self._seconds.items()},
            sequences=int(ever(self._sequences)),
        )
