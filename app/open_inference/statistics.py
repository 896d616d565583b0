"""The statistics of the Open Inference Protocol, from the service's counters (`app/telemetry/inference.py`)."""

from collections.abc import Iterable

from app.engine.repository import ServedModel
from app.open_inference.descriptions import Duration, InferenceStatistics, ModelStatistics, Statistics
from app.open_inference.schemas import VERSION
from app.telemetry.inference import PARTS


def statistics_of(models: Iterable[ServedModel]) -> Statistics:
    return Statistics(model_stats=[_statistics(model) for model in models])


def _statistics(model: ServedModel) -> ModelStatistics:
    counters, total = model.inference, model.inference.totals()
    success = int(total(counters.requests["success",]))
    queue, nothing = Duration(count=success, ns=0), Duration(count=0, ns=0)
    durations = {
        part: Duration(count=success, ns=round(total(counters.seconds[part,]) * 1e9)) for part in ("success", *PARTS)
    }
    failed = Duration(count=int(total(counters.requests["fail",])), ns=round(total(counters.seconds["fail",]) * 1e9))
    return ModelStatistics(
        name=model.info.name,
        version=VERSION,
        inference_count=int(total(counters.sequences)),
        execution_count=success,
        inference_stats=InferenceStatistics(
            fail=failed, queue=queue, cache_hit=nothing, cache_miss=nothing, **durations
        ),
    )
