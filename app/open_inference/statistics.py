"""The statistics of the Open Inference Protocol, made from the service's counters (`app/telemetry/inference.py`)."""

from app.open_inference.descriptions import Duration, InferenceStatistics, ModelStatistics
from app.open_inference.schemas import VERSION
from app.telemetry.inference import InferenceCounters


def statistics_of(model: str, counters: InferenceCounters) -> ModelStatistics:
    """The statistics of the model of this name, over all workers."""
    total = counters.totals()
    success, fail = (int(total(counters.requests[outcome,])) for outcome in ("success", "fail"))

    def duration(part: str, count: int) -> Duration:
        return Duration(count=count, ns=round(total(counters.seconds[part,]) * 1e9))

    nothing = Duration(count=0, ns=0)
    return ModelStatistics(
        name=model,
        version=VERSION,
        inference_count=int(total(counters.sequences)),
        execution_count=success,
        inference_stats=InferenceStatistics(
            success=duration("success", success),
            fail=duration("fail", fail),
            queue=Duration(count=success, ns=0),
            compute_input=duration("compute_input", success),
            compute_infer=duration("compute_infer", success),
            compute_output=duration("compute_output", success),
            cache_hit=nothing,
            cache_miss=nothing,
        ),
    )
