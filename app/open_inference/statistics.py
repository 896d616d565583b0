"""The statistics of the Open Inference Protocol, made of what the service counts (`app/telemetry/inference.py`)."""

from app.open_inference.descriptions import Duration, InferenceStatistics, ModelStatistics
from app.open_inference.schemas import VERSION
from app.telemetry.inference import Totals


def statistics_of(model: str, totals: Totals) -> ModelStatistics:
    """The message about the model of this name."""
    success, fail = totals.requests["success"], totals.requests["fail"]

    def duration(part: str, count: int) -> Duration:
        return Duration(count=count, ns=round(totals.seconds[part] * 1e9))

    nothing = Duration(count=0, ns=0)
    return ModelStatistics(
        name=model,
        version=VERSION,
        inference_count=totals.sequences,
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
