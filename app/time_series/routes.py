"""POST /v1/timeseries/forecast and GET /v1/timeseries/models: KServe's protocol for time series.

All inputs of a request are admitted together, and done as a whole or refused.
"""

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers

from app.api.dependencies import CurrentRepository
from app.api.endpoints import array
from app.api.exchange import ClientGone, asked, written_json
from app.api.openapi import declared
from app.api.parsing import disconnected, documented_body, invalid, read_body
from app.api.series import REFUSALS, judged, seasons_of, whole
from app.engine.repository import Repository, ServedModel
from app.errors import BodyTooLarge, NotReady
from app.problems import TIME_SERIES
from app.schemas import limited_time_series
from app.settings import Settings
from app.time_series.schemas import MONTHS, SECONDS, SHORT, TimeSeriesInput, TimeSeriesRequest, TimeSeriesResponse
from model.intervals import LEVELS, NoInterval
from sine_client.dates import following
from sine_client.frequency import Frequency, Times

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = range(-62_135_596_800, 253_000_000_000)
"""The years 1 to 9987. Other times have no text of four digits for the year."""

_YEARS = "one with which the series begins after the year 0, and the forecast before the year 9987, both in UTC"


async def respond(
    headers: Headers, body: bytes, model: type[TimeSeriesRequest], repository: Repository, client_gone: ClientGone
) -> Response:
    """Return the response to `body`. Raises Problem if the request is refused."""
    request, served = asked(model, headers, body, repository)
    horizon, created_s = request.options.horizon, int(time.time())
    levels = _levels(request, served)
    starts = [_start(each, number, created_s) for number, each in enumerate(request.inputs)]
    rows = [each.series for each in request.inputs]
    seasons = await seasons_of(rows, served)
    forecasts = await served.forecaster.forecast_batch(rows, horizon, None, client_gone, seasons)
    values_BS = whole(forecasts)
    ends, _ = judged(forecasts, values_BS, sorted({level for level in levels.values() if level}), served)
    identifier, outputs = secrets.token_hex(12), []
    for row, each in enumerate(request.inputs):
        content: dict[str, Any] = {
            "type": each.type,
            "name": each.name,
            "mean_forecast": await array([values_BS[row]]),
            "frequency": each.frequency,
            "start_timestamp": starts[row],
        }
        if levels:
            content["quantiles"] = {
                str(q): await array([_quantile(q, level, row, values_BS, ends)]) for q, level in levels.items()
            }
        outputs.append(
            {
                "type": "time_series_forecast",
                "id": f"{identifier}-{row}",
                "status": "completed",
                "content": [content],
                "error": None,
            }
        )
    given, made = sum(map(len, rows)), horizon * len(rows)
    answer = {
        "id": identifier,
        "created_at": created_s,
        "status": "completed",
        "error": None,
        "model": request.model,
        "outputs": outputs,
        "usage": {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made},
    }
    return written_json(orjson.dumps(answer), served).response()


def _quantile(q: float, level: int, row: int, values_BS: Any, ends: dict[str, Any]) -> Any:
    """Return a quantile of a forecast: an end of the interval of a level, or the forecast itself for the median."""
    return ends[f"{'lo' if q < 0.5 else 'hi'}-{level}"][row] if level else values_BS[row]


def _levels(request: TimeSeriesRequest, served: ServedModel) -> dict[float, int]:
    """Return the level in per cent whose interval each quantile ends, ascending, and 0 for the median."""
    quantiles = sorted(set(request.options.quantiles or ()))
    levels = {q: round(abs(1 - 2 * q) * 100) for q in quantiles}
    pointer = "/options/quantiles"
    if any(abs(abs(1 - 2 * q) * 100 - level) > 1e-6 or level > LEVELS for q, level in levels.items()):
        raise invalid(
            pointer, "each is the end of an interval whose level |1 - 2q| is a whole number of per cent, up to 99"
        )
    asked = [level for level in levels.values() if level]
    if not asked:
        return levels
    if served.intervals is None:
        raise invalid(pointer, "not for this model: it has no intervals")
    for number, each in enumerate(request.inputs):
        try:
            served.intervals.check(len(each.series), request.options.horizon, asked)
        except NoInterval as error:
            place = {"sequence": f"/inputs/{number}/series", "steps": "/options/horizon", "level": pointer}
            raise invalid(place[error.field], str(error).replace("with level", "with quantiles")) from None
    return levels


def _start(each: TimeSeriesInput, number: int, now_s: int) -> str:
    """Return the time of the first forecast of an input."""
    if each.start_timestamp is None:
        return _written(now_s)
    pointer = f"/inputs/{number}/start_timestamp"
    try:
        first = datetime.fromisoformat(each.start_timestamp)
    except ValueError:
        raise invalid(pointer, "a time in ISO 8601, such as 2026-01-31T00:00:00Z") from None
    first = first.replace(tzinfo=UTC) if first.tzinfo is None else first
    first_s, steps, unit = (
        (first - _EPOCH) // timedelta(seconds=1),
        len(each.series),
        SHORT.get(each.frequency, each.frequency),
    )
    if first_s not in _SECONDS:
        raise invalid(pointer, _YEARS)
    if unit in SECONDS:
        start_s = first_s + steps * SECONDS[unit]
    else:
        clock_s, day = first_s % 86_400, (_EPOCH + timedelta(seconds=first_s)).day
        last = Times(np.array([first_s * 1000]), np.array([first_s * 1000]), "ms")
        frequency = Frequency(MONTHS[unit], "month", day=day, clock=clock_s * 1000)
        start_s = int(following(last, [frequency], np.zeros(1, np.int64), np.array([steps]))[0, 0]) // 1000
    if start_s not in _SECONDS:
        raise invalid(pointer, _YEARS)
    return _written(start_s)


def _written(second: int) -> str:
    return f"{(_EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()}Z"


def router(settings: Settings) -> APIRouter:
    """Both endpoints."""
    model = limited_time_series(TimeSeriesRequest, settings.max_batch, settings.max_sequence, settings.max_steps)
    routes = APIRouter(
        prefix=TIME_SERIES, tags=["kserve time series"], responses=declared(BodyTooLarge, path=TIME_SERIES)
    )

    @routes.post(
        "/forecast",
        operation_id="time_series_forecast",
        summary="Forecast series by KServe's protocol.",
        response_model=TimeSeriesResponse,
        responses=declared(
            invalid("/inputs/0/series/2", "input should be a valid number"), *REFUSALS, path=TIME_SERIES
        ),
        openapi_extra=documented_body(model),
    )
    async def forecast(request: Request, repository: CurrentRepository) -> Response:
        """The answer holds the next values of each input, and the quantiles that are asked for."""
        body = await read_body(request.receive)
        return await respond(request.headers, body, model, repository, lambda: disconnected(request.receive))

    @routes.get(
        "/models", summary="List the names of the served models.", responses=declared(NotReady, path=TIME_SERIES)
    )
    async def models(repository: CurrentRepository) -> list[str]:
        """The answer holds the names that a request may have as its `model`."""
        return [served.info.name for served in repository]

    return routes
