"""What the statistics of the Open Inference Protocol count, which `/metrics` shows as well."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.open_inference.descriptions import Duration, InferenceStatistics, ModelStatistics
from app.open_inference.schemas import VERSION
from app.telemetry.instruments import Counter
from app.telemetry.registry import Labels, Registry

Part = Literal["success", "fail", "compute_input", "compute_infer", "compute_output"]

_OUTCOMES = ("success", "fail")
_PARTS = ("compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True)
class Durations:
    """The seconds that the three parts of an answered request took."""

    input_s: float
    infer_s: float
    output_s: float


def inference_counters(registry: Registry) -> "Callable[[str], InferenceCounters]":
    """Those of each model, by its name."""
    requests = registry.counter_by_model(
        "sine_inference_requests", "Requests of the Open Inference Protocol.", outcome=_OUTCOMES
    )
    seconds = registry.counter_by_model(
        "sine_inference_seconds",
        "Seconds from a request's body to its answer, and those of the answered ones by part.",
        part=(*_OUTCOMES, *_PARTS),
    )
    sequences = registry.counter_by_model(
        "sine_inference_sequences", "Sequences continued by requests of the Open Inference Protocol."
    )
    return lambda model: InferenceCounters(registry, requests(model), seconds(model), sequences(model)[()])


class InferenceCounters:
    """Requests to one model's `infer`, their sequences, and the time that was spent on them."""

    def __init__(
        self, registry: Registry, requests: dict[Labels, Counter], seconds: dict[Labels, Counter], sequences: Counter
    ) -> None:
        self._totals = registry.totals
        self._requests = requests
        self._seconds = seconds
        self._sequences = sequences

    def answered(self, sequences: int, took: Durations) -> None:
        """Count a request of so many sequences that was answered."""
        self._requests["success",].add()
        self._sequences.add(sequences)
        parts = (took.input_s, took.infer_s, took.output_s)
        self._seconds["success",].add(sum(parts))
        for part, seconds in zip(_PARTS, parts, strict=True):
            self._seconds[part,].add(seconds)

    def refused(self, seconds: float) -> None:
        """Count a request that was refused, or failed, after so long."""
        self._requests["fail",].add()
        self._seconds["fail",].add(seconds)

    def statistics(self, model: str) -> ModelStatistics:
        """All of it over all workers, as the protocol has it."""
        success, fail, sequences, *seconds = self._totals(
            *self._requests.values(), self._sequences, *self._seconds.values()
        )
        took = dict(zip((*_OUTCOMES, *_PARTS), seconds, strict=True))

        def duration(part: Part, count: float) -> Duration:
            return Duration(count=int(count), ns=round(took[part] * 1e9))

        nothing = Duration(count=0, ns=0)
        return ModelStatistics(
            name=model,
            version=VERSION,
            inference_count=int(sequences),
            execution_count=int(success),
            inference_stats=InferenceStatistics(
                success=duration("success", success),
                fail=duration("fail", fail),
                queue=Duration(count=int(success), ns=0),
                compute_input=duration("compute_input", success),
                compute_infer=duration("compute_infer", success),
                compute_output=duration("compute_output", success),
                cache_hit=nothing,
                cache_miss=nothing,
            ),
        )
