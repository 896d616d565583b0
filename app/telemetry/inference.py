"""The counters of the Open Inference Protocol, for each model. `/metrics` and the protocol's statistics show them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from app.telemetry.instruments import Counter
from app.telemetry.registry import Labels

OUTCOMES = ("success", "fail")
PARTS = ("compute_input", "compute_infer", "compute_output")
_PARTS = tuple((part,) for part in PARTS)  # as labels


class InferenceCounters(NamedTuple):
    """The counters of one model."""

    requests: Mapping[Labels, Counter]
    """By outcome."""

    seconds: Mapping[Labels, Counter]
    """By outcome, and by part of the requests that were answered."""

    sequences: Counter
    totals: Callable[[], Callable[[Counter], float]]
    """Returns a function that gives the value of a counter over all workers."""

    def answered(self, sequences: int, *seconds: float) -> None:
        """Count a request of so many sequences that was answered, and the seconds that each of its `PARTS` took."""
        self.requests["success",].add()
        self.sequences.add(sequences)
        self.seconds["success",].add(sum(seconds))
        for part, part_s in zip(_PARTS, seconds, strict=True):
            self.seconds[part].add(part_s)

    def refused(self, seconds: float) -> None:
        """Count a request that was refused, or failed, after so long."""
        self.requests["fail",].add()
        self.seconds["fail",].add(seconds)
