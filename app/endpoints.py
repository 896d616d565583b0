"""What POST /predict and POST /generate do, written once, whichever way a request comes in.

Parse, forecast, serialise: three calls. FastAPI's endpoints (`app/routes/forecast.py`) and the hot path
(`app/hotpath.py`) both call `respond`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from app.body import parse
from app.dependencies import Served
from app.errors import Diverged, InvalidRequest
from app.forecaster import Forecast
from app.schemas import FieldError, GenerateRequest, PredictRequest, limited
from app.settings import Settings
from model.intervals import Intervals, NoInterval

_SLICE = 1024
"""Values that are serialised at a time: about 15 µs."""

Request = TypeVar("Request", bound=PredictRequest)

ClientGone = Callable[[], Awaitable[object]]

Answer = Callable[[Request, Served, ClientGone], Awaitable[bytes]]


@dataclass(frozen=True)
class Endpoint(Generic[Request]):
    """One of the two, with the limits of a server."""

    path: str
    model: type[Request]
    answer: Answer[Request]

    async def respond(self, content_type: str, body: bytes, served: Served, client_gone: ClientGone) -> bytes:
        """The JSON that answers `body`. Raises Problem for whatever is refused."""
        return await self.answer(parse(self.model, content_type, body), served, client_gone)


async def predict(request: PredictRequest, served: Served, client_gone: ClientGone) -> bytes:
    """A `PredictResponse`, serialised."""
    intervals = _intervals(request, 1, served) if request.level else None
    forecast = await served.forecaster.forecast(request.sequence, 1, request.timeout_s, client_gone)
    if forecast.diverged:
        raise Diverged("The model has no finite prediction for this sequence.")
    return b'{"prediction":%b%b}' % (
        orjson.dumps(forecast.chunks[0].item(0)),
        await _ends(intervals, request, forecast, served) if intervals else b"",
    )


async def generate(request: GenerateRequest, served: Served, client_gone: ClientGone) -> bytes:
    """A `GenerateResponse`, serialised."""
    intervals = _intervals(request, request.steps, served) if request.level else None
    forecast = await served.forecaster.forecast(request.sequence, request.steps, request.timeout_s, client_gone)
    return b'{"values":[%b],"finish_reason":"%b"%b}' % (
        await numbers(forecast.chunks),
        b"diverged" if forecast.diverged else b"length",
        await _ends(intervals, request, forecast, served) if intervals else b"",
    )


def _intervals(request: PredictRequest, steps: int, served: Served) -> Intervals:
    """The model's intervals. Raises InvalidRequest if it has none for this request."""
    if served.intervals is None:
        raise InvalidRequest([FieldError(pointer="/level", detail="not for this model: it has no intervals")])
    try:
        served.intervals.check(len(request.sequence), steps, request.level or [])
    except NoInterval as error:
        raise InvalidRequest([FieldError(pointer=f"/{error.field}", detail=str(error))]) from None
    return served.intervals


async def _ends(intervals: Intervals, request: PredictRequest, forecast: Forecast, served: Served) -> bytes:
    """The rest of a response with intervals. They end where the forecast does."""
    scale = served.forecaster.runtime.start(request.sequence).scale
    values_S = np.concatenate(forecast.chunks)
    ends = intervals.around(values_S, scale, len(request.sequence), request.level or [])
    parts = [b'"%b":[%b]' % (name.encode(), await numbers([end_S])) for name, end_S in ends.items()]
    return b',"intervals":{%b}' % b",".join(parts)


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


def endpoints(settings: Settings) -> tuple[Endpoint[PredictRequest], Endpoint[GenerateRequest]]:
    """Both, with the limits of `settings`."""
    predict_model, generate_model = limited(settings.max_sequence, settings.max_steps)
    return Endpoint("/predict", predict_model, predict), Endpoint("/generate", generate_model, generate)
