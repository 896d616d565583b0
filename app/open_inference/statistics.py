"""The statistics of the Open Inference Protocol, from the service's counters (`app/telemetry/inference.py`)."""

from collections.abc import Iterable

from app.engine.repository import ServedModel
from app.open_inference.descriptions import Duration, InferenceStatistics, ModelStatistics, Statistics
from app.open_inference.schemas import VERSION


def statistics_of(models: Iterable[ServedModel]) -> Statistics:
    return Statistics(model_stats=[_statistics(model) for model in models])


def _statistics(model: ServedModel) -> ModelStatistics:
    totals = model.inference.totals()
    success, nothing = totals.requests["success"], Duration(count=0, ns=0)
    durations = {
        part: Duration(count=totals.requests.get(part, success), ns=round(seconds * 1e9))
        for part, seconds in totals.seconds.items()
    }
    queue = Duration(count=success, ns=0)
    return ModelStatistics(
        name=model.info.name,
        version=VERSION,
        inference_count=totals.sequences,
        execution_count=success,
        inference_stats=InferenceStatistics(queue=queue, cache_hit=nothing, cache_miss=nothing, **durations),
    )
