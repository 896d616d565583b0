"""The work of POST /predict, POST /generate and POST /generate/stream: parse, forecast, serialise.

Every way to a response calls this module: FastAPI's endpoints (`app/api/forecast.py`), the front
(`app/api/hotpath.py`), inline answers (`app/server/inline.py`) and WebSockets (`app/api/live.py`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
from starlette.datastructures import Headers
from starlette.responses import Response

from app.api.exchange import ClientGone, RawHeaders, Written, asked, at_once, first_value, parsed, written_json
from app.api.parsing import invalid
from app.api.state_tokens import KEPT, BadToken, Origin, read_token, write_token
from app.engine.forecaster import Forecast
from app.engine.repository import Repository, ServedModel
from app.errors import Diverged
from app.schemas import limited
from app.settings import Settings
from model.fit import Fit
from model.intervals import NoInterval
from model.runtime.base import State
from model.runtime.seasons import season_of
from sine_client.messages import GenerateRequest, PredictRequest

SLICE = 1024
"""The number of values that are serialised at a time, which takes about 15 µs."""

_FINISH_REASON = {False: "length", True: "diverged"}

Request = TypeVar("Request", bound=PredictRequest)

Answer = Callable[[Request, ServedModel, ClientGone | None], Coroutine[Any, Any, bytes]]

_Fields = dict[str, object]
"""Fields of a response."""

_Around = Callable[..., dict[str, npt.NDArray[np.float64]]]
"""`Intervals.around` with all arguments of a request, apart from the forecast and its first step."""


@dataclass(frozen=True)
class Endpoint(Generic[Request]):
    """POST /predict or POST /generate, with the limits of a server."""

    path: str
    model: type[Request]
    answer: Answer[Request]

    async def respond(self, headers: Headers, body: bytes, repository: Repository, client_gone: ClientGone) -> Response:
        """Return the response to `body`. Raises Problem if the request is refused."""
        request, served = asked(self.model, headers, body, repository)
        return written_json(await self.answer(request, served, client_gone), served).response()

    def respond_synchronously(self, headers: RawHeaders, body: bytes, repository: Repository) -> Written | None:
        """Return the answer to an uncompressed `body`; None if there is too much work to do at once.

        Raises Problem if the request is refused.
        """
        content_type = first_value(headers, b"content-type") or b""
        request, served = parsed(self.model, content_type.decode("latin-1"), body, repository)
        steps = request.steps if isinstance(request, GenerateRequest) else 1
        before = 0 if request.state is None else KEPT  # a token may hold so many values
        if steps > SLICE or not served.forecaster.is_inline(before + len(request.sequence) + steps):
            return None
        return written_json(at_once(self.answer(request, served, None)), served)


async def predict(request: PredictRequest, served: ServedModel, client_gone: ClientGone | None) -> bytes:
    """Return a serialised `PredictResponse`."""
    content, _ = await next_value(request, origin_of(request, served), served, client_gone, bool(request.return_state))
    return content


async def next_value(
    request: PredictRequest, origin: Origin, served: ServedModel, client_gone: ClientGone | None, keeps_state: bool
) -> tuple[bytes, Forecast]:
    """Return a serialised `PredictResponse`, and the forecast in it."""
    around = _intervals(request, origin, 1, served)
    forecast = await served.forecaster.forecast(
        origin.values, 1, request.timeout_s, client_gone, origin.state, keeps_state, origin.season
    )
    if forecast.diverged:
        raise Diverged
    fit = _fit(request, forecast.reached, served)
    response: _Fields = {"prediction": forecast.chunks[0].item(0)}
    if around:
        response |= await _ends(around, forecast, fit)
    if request.return_state:
        response |= _token(forecast.observed, None if origin.state else origin.values, served, origin.told)
    return orjson.dumps(response | _judged(request, fit, served, forecast.reached)), forecast


async def generate(request: GenerateRequest, served: ServedModel, client_gone: ClientGone | None) -> bytes:
    """Return a serialised `GenerateResponse`."""
    origin = origin_of(request, served)
    around = _intervals(request, origin, request.steps, served)
    keeps_state = bool(request.return_state)
    forecast = await served.forecaster.forecast(
        origin.values, request.steps, request.timeout_s, client_gone, origin.state, keeps_state, origin.season
    )
    fit = _fit(request, forecast.reached, served)
    response: _Fields = {
        "values": await array(forecast.chunks),
        "finish_reason": _FINISH_REASON[forecast.diverged],
    }
    if around:
        response |= await _ends(around, forecast, fit)
    if request.return_state:
        response |= _token(forecast.reached, None, served)
    return orjson.dumps(response | _judged(request, fit, served, forecast.reached))


class Event(NamedTuple):
    """One event of a stream: its name, and its data as JSON."""

    name: str
    data: bytes


async def stream(request: GenerateRequest, served: ServedModel) -> AsyncGenerator[Event]:
    """Yield `values` (`StreamedValues`) for each part of the rollout, and then `done` (`StreamEnd`).

    Each part is computed when its event is asked for. The concatenation of all values is the answer of `generate`, bit
    for bit. Raises Problem if the request is refused, with the first event if that can be known before the work.
    """
    origin = origin_of(request, served)
    around = _intervals(request, origin, request.steps, served)
    parts = served.forecaster.stream(origin.values, request.steps, request.timeout_s, origin.state, origin.season)
    done = 0
    async with aclosing(parts):
        async for part in parts:
            values: _Fields = {"values": await array(part.chunks)}
            if around:
                values |= await _ends(around, part, served.fit(part.reached), first=done)
            yield Event("values", orjson.dumps(values))
            done += sum(map(len, part.chunks))
    end: _Fields = {"finish_reason": _FINISH_REASON[part.diverged]}
    if request.return_state:
        end |= _token(part.reached, None, served)
    judged = _judged(request, _fit(request, part.reached, served), served, part.reached)
    yield Event("done", orjson.dumps(end | judged))


def origin_of(request: PredictRequest, served: ServedModel) -> Origin:
    """Return where the forecast of a request begins: a state, if it has one, and the values that follow it.

    Raises InvalidRequest for a bad token, without any value, or for another season than that of the state.
    """
    if request.state is None:
        if not request.sequence:
            raise invalid("/sequence", "at least one value, unless state is given")
        return beginning(request.sequence, request.season, served)
    try:
        before = read_token(request.state, served.info.digest, served.info.architecture)
    except BadToken as error:
        raise invalid("/state", str(error)) from None
    if before.state is None:
        return beginning([*before.values, *request.sequence], request.season or before.told, served)
    check_season(request, before.state, served)
    return Origin(before.state, request.sequence)


def beginning(values: Sequence[float], told: int | None, served: ServedModel) -> Origin:
    """Return the origin of a sequence that begins with these values.

    Its season is the one told, or that of the series which the model was fitted to, or else found in the values.
    """
    season = (told or served.info.season or season_of(values)) if served.is_seasonal else 1
    return Origin(None, values, season, told)


def check_season(request: PredictRequest, state: State, served: ServedModel) -> None:
    """Raise InvalidRequest if a request has another season than the state that it continues."""
    if served.is_seasonal and request.season not in (None, state.season):
        raise invalid("/season", f"{state.season}, or nothing: that is the season of the sequence so far")


def _token(
    state: State | None, observed: Sequence[float] | None, served: ServedModel, told: int | None = None
) -> _Fields:
    """Return the field with the token of a state. `observed` and `told` are as in `write_token`."""
    if state is None or not all(np.isfinite(part).all() for part in (state.memory_LM, state.error_R, state.anchors_K)):
        return {"state": None}
    return {"state": write_token(state, observed, served.info.digest, told)}


def _intervals(request: PredictRequest, origin: Origin, steps: int, served: ServedModel) -> _Around | None:
    """Return the model's intervals for a request, None without levels. Raises InvalidRequest if it has none for it."""
    if not request.level:
        return None
    if served.intervals is None:
        raise invalid("/level", "not for this model: it has no intervals")
    if origin.state is not None and origin.state.rolled_out:
        detail = "not with the state of a rollout: intervals are calibrated for values that were observed"
        raise invalid("/level", detail)
    context = len(origin.values) + (origin.state.observed if origin.state else 0)
    try:
        served.intervals.check(context, steps, request.level)
    except NoInterval as error:
        raise invalid(f"/{error.field}", str(error)) from None
    return partial(served.intervals.around, context=context, levels=request.level)


async def _ends(around: _Around, forecast: Forecast, fit: Fit | None, first: int = 0) -> _Fields:
    """Return the intervals around a forecast that begins at step `first` of the rollout. They end where it ends."""
    ends = around(np.concatenate(forecast.chunks), fit, forecast.reached, first=first)
    return {"intervals": {name: await array([end_S]) for name, end_S in ends.items()}}


def _fit(request: PredictRequest, state: State, served: ServedModel) -> Fit | None:
    """Return the fit where an answer needs it: with intervals or diagnostics, or where the model does not fit."""
    needed = request.level or request.diagnostics or not served.fits(state)
    return served.fit(state) if needed else None


def _judged(request: PredictRequest, fit: Fit | None, served: ServedModel, reached: State) -> _Fields:
    """Return the fields that say how far the forecast can be trusted, and what it assumes."""
    fields: _Fields = {}
    if request.diagnostics:
        fields["fit"] = fit and {
            "residual": fit.residual,
            "expected": fit.expected,
            "ratio": fit.ratio,
            "values": fit.values,
        }
        if served.is_seasonal:
            fields["season"] = reached.season
    if fit is not None and not fit.fits:
        fields["warnings"] = [served.warning(fit)]
    return fields


async def array(chunks: Iterable[npt.NDArray[Any]]) -> orjson.Fragment:
    """Serialise the values of all chunks as one JSON array.

    orjson reads them out of NumPy's memory, without a Python object for each. Between slices, other tasks get a turn.
    """
    parts: list[bytes] = []
    for chunk_S in chunks:
        for first in range(0, len(chunk_S), SLICE):
            if parts:
                await asyncio.sleep(0)
            slice_S = chunk_S[first : first + SLICE]
            parts.append(orjson.dumps(slice_S, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
    return orjson.Fragment(b"[%b]" % b",".join(parts))


@cache
def endpoints(settings: Settings) -> tuple[Endpoint[PredictRequest], Endpoint[GenerateRequest]]:
    """Return POST /predict and POST /generate, with the limits of `settings`."""
    predict_model, generate_model = limited(settings.max_sequence, settings.max_steps)
    return Endpoint("/predict", predict_model, predict), Endpoint("/generate", generate_model, generate)
