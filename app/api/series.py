"""POST /forecast: many series at once, with the dates of their forecasts.

The series are admitted together, and done as a whole or refused, like a batch of the Open Inference Protocol.
"""

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers

from app.api.dependencies import CurrentRepository
from app.api.endpoints import array
from app.api.exchange import ClientGone, asked, written_json
from app.api.openapi import declared
from app.api.parsing import disconnected, documented_body, invalid, read_body
from app.engine.forecaster import Forecast
from app.engine.repository import Repository, ServedModel
from app.errors import (
    DeadlineExceeded,
    Diverged,
    Exhausted,
    InvalidRequest,
    NotReady,
    Overloaded,
    UnknownModel,
    UnsupportedEncoding,
)
from app.schemas import limited_forecast
from app.settings import Settings
from model.fit import fits_of
from model.intervals import NoInterval
from model.runtime.many import Forecasts
from model.runtime.seasons import find_seasons
from sine_client.messages import FieldError, ForecastRequest, ForecastResponse
from sine_client.starts import WrongStart, times_after

_AT_ONCE = 4096
"""The seasons of so many values are found on the event loop, in about 0.2 ms. More of them go to another thread."""

REFUSALS = (
    Diverged.in_row(0, steps=1),
    UnknownModel,
    UnsupportedEncoding,
    NotReady,
    Exhausted,
    Overloaded,
    DeadlineExceeded,
)
"""The refusals of a request with several series, beside those of its own content."""

Floats = npt.NDArray[np.float64]


@cache
def forecast_model(settings: Settings) -> type[ForecastRequest]:
    """Return the request with the limits of `settings`."""
    return limited_forecast(settings.max_batch, settings.max_sequence, settings.max_steps)


async def respond(
    headers: Headers, body: bytes, model: type[ForecastRequest], repository: Repository, client_gone: ClientGone
) -> Response:
    """Return the response to `body`. Raises Problem if the request is refused."""
    request, served = asked(model, headers, body, repository)
    times = _checked(request, served)
    rows = [series.y for series in request.series]
    seasons = await seasons_of(rows, served)
    forecasts = await served.forecaster.forecast_batch(rows, request.horizon, request.timeout_s, client_gone, seasons)
    values_BS = whole(forecasts)
    ends, warnings = judged(forecasts, values_BS, request.level, served)
    answers = []
    for row, series in enumerate(request.series):
        answer: dict[str, Any] = {"unique_id": series.unique_id, "ds": times[row]}
        answer["values"] = await array([values_BS[row]])
        if ends:
            answer["intervals"] = {end: await array([end_BS[row]]) for end, end_BS in ends.items()}
        if row in warnings:
            answer["warnings"] = [warnings[row]]
        answers.append(answer)
    return written_json(orjson.dumps({"model": served.info.name, "forecasts": answers}), served).response()


def whole(forecasts: Sequence[Forecast]) -> Floats:
    """Return the values of all forecasts [B, S]. Raises Diverged if one of them has ended early."""
    for row, forecast in enumerate(forecasts):
        if forecast.diverged:
            raise Diverged.in_row(row, steps=sum(map(len, forecast.chunks)))
    return np.stack([np.concatenate(forecast.chunks) for forecast in forecasts])


async def seasons_of(rows: Sequence[Sequence[float]], served: ServedModel, told: int | None = None) -> list[int]:
    """Return the season of each sequence: the one told, that of the model, or found; 1 for a model that uses none."""
    if not served.is_seasonal:
        return [1] * len(rows)
    if known := told or served.info.season:
        return [known] * len(rows)
    joined_N, start_B1 = np.concatenate(rows, dtype=np.float64), np.cumsum([0, *map(len, rows)])
    if len(joined_N) <= _AT_ONCE:
        season_B = find_seasons(joined_N, start_B1)
    else:
        season_B = await asyncio.to_thread(find_seasons, joined_N, start_B1)
    seasons: list[int] = season_B.tolist()
    return seasons


def judged(
    forecasts: list[Forecast], values_BS: Floats, levels: list[int] | None, served: ServedModel
) -> tuple[dict[str, Floats], dict[int, str]]:
    """Return the ends of the intervals around forecasts [B, S], and the warning of each row that has one."""
    states = [forecast.reached for forecast in forecasts]
    ends: dict[str, Floats] = {}
    if levels and served.intervals is not None:
        observed_B = np.array([state.observed for state in states])
        known = Forecasts.of(values_BS, states)
        fits = fits_of(served.expectations, observed_B, known.scale_B, known.residual_B, known.noise_B)
        ends = served.intervals.around_many(values_BS, fits, known, observed_B, levels)
    warnings = {
        row: served.warning(fit)
        for row, state in enumerate(states)
        if not served.fits(state) and (fit := served.fit(state)) is not None
    }
    return ends, warnings


def _checked(request: ForecastRequest, served: ServedModel) -> list[Any]:
    """Return the times of each forecast. Raises InvalidRequest with the errors of all series."""
    errors, times = [], []
    for row, series in enumerate(request.series):
        try:
            times.append(times_after(series.start, series.freq, len(series.y), request.horizon))
        except WrongStart as error:
            errors.append(FieldError(pointer=f"/series/{row}/{error.field}", detail=str(error)))
    if request.level:
        errors += _without_interval(request, request.level, served)
    if errors:
        raise InvalidRequest(errors)
    return times


def _without_interval(request: ForecastRequest, levels: list[int], served: ServedModel) -> list[FieldError]:
    """Return an error for each series that the model has no intervals for."""
    if served.intervals is None:
        return [FieldError(pointer="/level", detail="not for this model: it has no intervals")]
    errors = []
    for row, series in enumerate(request.series):
        try:
            served.intervals.check(len(series.y), request.horizon, levels)
        except NoInterval as error:
            pointer = {"sequence": f"/series/{row}/y", "steps": "/horizon", "level": "/level"}[error.field]
            errors.append(FieldError(pointer=pointer, detail=str(error)))
    return list({error.pointer: error for error in errors}.values())


def router(settings: Settings) -> APIRouter:
    """POST /forecast."""
    model = forecast_model(settings)
    routes = APIRouter(tags=["forecast"])

    @routes.post(
        "/forecast",
        operation_id="forecast",
        summary="Forecast many series, with dates.",
        response_model=ForecastResponse,
        responses=declared(invalid("/series/0/y/2", "input should be a valid number"), *REFUSALS),
        openapi_extra=documented_body(model),
    )
    async def forecast(request: Request, repository: CurrentRepository) -> Response:
        """The answer holds the next values of each series and their times. All series are admitted, or none."""
        body = await read_body(request.receive)
        return await respond(request.headers, body, model, repository, lambda: disconnected(request.receive))

    return routes
