"""What POST /predict, POST /generate and POST /generate/stream do, written once, whichever way a request comes in.

Parse, forecast, serialise: three calls. FastAPI's endpoints (`app/api/forecast.py`) and the front
(`app/api/hotpath.py`) both call `respond`.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
from starlette.datastructures import Headers
from starlette.responses import Response

from app.api.parsing import parse
from app.api.state_tokens import START, BadToken, Origin, read_token, write_token
from app.engine.forecaster import Forecast
from app.engine.repository import Repository, ServedModel
from app.errors import Diverged, InvalidRequest
from app.schemas import FieldError, GenerateRequest, PredictRequest, limited
from app.settings import Settings
from model.intervals import Intervals, NoInterval
from model.runtime.base import State

_SLICE = 1024
"""Values that are serialised at a time: about 15 µs."""

_FINISH_REASON = {False: b"length", True: b"diverged"}

Request = TypeVar("Request", bound=PredictRequest)

ClientGone = Callable[[], Awaitable[object]]

Answer = Callable[[Request, ServedModel, ClientGone], Coroutine[Any, Any, bytes]]


@dataclass(frozen=True)
class Endpoint(Generic[Request]):
    """One of the two, with the limits of a server."""

    path: str
    model: type[Request]
    answer: Answer[Request]

    def asked(self, content_type: str, body: bytes, repository: Repository) -> tuple[Request, ServedModel]:
        """The request in `body`, and the model that it asks. Raises Problem for whatever is refused."""
        request = parse(self.model, content_type, body)
        return request, repository.named(request.model)

    async def respond(self, headers: Headers, body: bytes, repository: Repository, client_gone: ClientGone) -> Response:
        """The response to `body`. Raises Problem for whatever is refused."""
        request, served = self.asked(headers.get("content-type", ""), body, repository)
        response = Response(await self.answer(request, served, client_gone), media_type="application/json")
        response.raw_headers.insert(0, served.version)
        return response

    def respond_synchronously(
        self, content_type: str, body: bytes, repository: Repository
    ) -> tuple[bytes, ServedModel] | None:
        """The JSON that answers `body`, and its model, if the work is so little that it need not wait; otherwise
        None."""
        request, served = self.asked(content_type, body, repository)
        steps = request.steps if isinstance(request, GenerateRequest) else 1
        if steps > _SLICE or not served.forecaster.is_inline(len(request.sequence) + steps):
            return None
        try:
            self.answer(request, served, _nobody).send(None)
        except StopIteration as answered:
            return answered.value, served
        raise RuntimeError("a forecast on the event loop has waited")


async def _nobody() -> None:
    """What waits for a client to go, where there is no time for that."""


async def predict(request: PredictRequest, served: ServedModel, client_gone: ClientGone) -> bytes:
    """A `PredictResponse`, serialised."""
    origin = origin_of(request, served)
    content, _ = await next_value(request, origin, served, client_gone, request.return_state)
    return content


async def next_value(
    request: PredictRequest, origin: Origin, served: ServedModel, client_gone: ClientGone | None, keeps_state: bool
) -> tuple[bytes, Forecast]:
    """A `PredictResponse`, serialised, and the forecast in it."""
    intervals = _intervals(request, origin, 1, served) if request.level else None
    forecast = await served.forecaster.forecast(
        request.sequence, 1, request.timeout_s, client_gone, origin.state, keeps_state
    )
    if forecast.diverged:
        raise Diverged(Diverged.NO_PREDICTION)
    content = b'{"prediction":%b%b%b}' % (
        orjson.dumps(forecast.chunks[0].item(0)),
        await intervals.serialise(forecast) if intervals else b"",
        _token(forecast.observed, observed(request, origin), served) if request.return_state else b"",
    )
    return content, forecast


async def generate(request: GenerateRequest, served: ServedModel, client_gone: ClientGone) -> bytes:
    """A `GenerateResponse`, serialised."""
    origin = origin_of(request, served)
    intervals = _intervals(request, origin, request.steps, served) if request.level else None
    forecast = await served.forecaster.forecast(
        request.sequence, request.steps, request.timeout_s, client_gone, origin.state, request.return_state
    )
    return b'{"values":[%b],"finish_reason":"%b"%b%b}' % (
        await numbers(forecast.chunks),
        _FINISH_REASON[forecast.diverged],
        await intervals.serialise(forecast) if intervals else b"",
        _token(forecast.reached, 0, served) if request.return_state else b"",
    )


class Event(NamedTuple):
    """One event of a stream: its name, and its data as JSON."""

    name: str
    data: bytes


async def stream(request: GenerateRequest, served: ServedModel) -> AsyncGenerator[Event]:
    """`values` for each part of the rollout as it is asked for (`StreamedValues`), at last `done` (`StreamEnd`).

    The concatenation of all values is what `generate` answers, bit for bit. Raises Problem for whatever is refused:
    what can be known before the work begins, when the first event is asked for.
    """
    origin = origin_of(request, served)
    intervals = _intervals(request, origin, request.steps, served) if request.level else None
    parts = served.forecaster.stream(request.sequence, request.steps, request.timeout_s, origin.state)
    done = 0
    async with aclosing(parts):
        async for part in parts:
            ends = await intervals.serialise(part, first=done) if intervals else b""
            yield Event("values", b'{"values":[%b]%b}' % (await numbers(part.chunks), ends))
            done += sum(map(len, part.chunks))
    token = _token(part.reached, 0, served) if request.return_state else b""
    yield Event("done", b'{"finish_reason":"%b"%b}' % (_FINISH_REASON[part.diverged], token))


def origin_of(request: PredictRequest, served: ServedModel) -> Origin:
    """Where a request goes on from. Raises InvalidRequest if that cannot be."""
    if request.state is None:
        if not request.sequence:
            raise InvalidRequest([FieldError(pointer="/sequence", detail="at least one value, unless state is given")])
        return START
    try:
        return read_token(request.state, served.info.digest, served.info.architecture)
    except BadToken as error:
        raise InvalidRequest([FieldError(pointer="/state", detail=str(error))]) from None


def observed(request: PredictRequest, origin: Origin) -> int:
    """The values behind a forecast, all of them observed; 0 where predictions are among them."""
    return len(request.sequence) + origin.observed if origin.state is None or origin.observed else 0


def _token(state: State | None, observed: int, served: ServedModel) -> bytes:
    """The rest of a response with a state."""
    if state is None or not np.isfinite(state.memory_LM).all():
        return b',"state":null'
    return b',"state":"%b"' % write_token(state, observed, served.info.digest).encode()


@dataclass(frozen=True)
class _Ends:
    """The intervals around the forecast of one request."""

    intervals: Intervals
    levels: list[int]
    context: int
    scale: float

    async def serialise(self, forecast: Forecast, first: int = 0) -> bytes:
        """The rest of a response with intervals. They end where the forecast does, and begin at its step `first`."""
        values_S = np.concatenate(forecast.chunks)
        ends = self.intervals.around(values_S, self.scale, self.context, self.levels, first)
        parts = [b'"%b":[%b]' % (name.encode(), await numbers([end_S])) for name, end_S in ends.items()]
        return b',"intervals":{%b}' % b",".join(parts)


def _intervals(request: PredictRequest, origin: Origin, steps: int, served: ServedModel) -> _Ends:
    """The model's intervals for a request with levels. Raises InvalidRequest if it has none."""
    if served.intervals is None:
        raise InvalidRequest([FieldError(pointer="/level", detail="not for this model: it has no intervals")])
    context, levels = observed(request, origin), request.level or []
    if context == 0:
        detail = "not with the state of a rollout: intervals are calibrated for values that were observed"
        raise InvalidRequest([FieldError(pointer="/level", detail=detail)])
    try:
        served.intervals.check(context, steps, levels)
    except NoInterval as error:
        raise InvalidRequest([FieldError(pointer=f"/{error.field}", detail=str(error))]) from None
    state = origin.state or served.forecaster.runtime.start(request.sequence)
    return _Ends(served.intervals, levels, context, state.scale)


async def numbers(chunks: Iterable[npt.NDArray[np.float64]]) -> bytes:
    """Values with commas between them: orjson reads them out of the array, without a Python object for each.

    A slice at a time, so that a long answer lets others in between.
    """
    parts: list[bytes] = []
    for chunk_S in chunks:
        for first in range(0, len(chunk_S), _SLICE):
            if parts:
                await asyncio.sleep(0)
            slice_S = chunk_S[first : first + _SLICE]
            parts.append(orjson.dumps(slice_S, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
    return b",".join(parts)


@cache
def endpoints(settings: Settings) -> tuple[Endpoint[PredictRequest], Endpoint[GenerateRequest]]:
    """Both, with the limits of `settings`."""
    predict_model, generate_model = limited(settings.max_sequence, settings.max_steps)
    return Endpoint("/predict", predict_model, predict), Endpoint("/generate", generate_model, generate)
