"""What POST /predict and POST /generate do, written once, whichever way a request comes in.

Parse, forecast, serialise: three calls. FastAPI's endpoints (`app/routes/forecast.py`) and the hot path
(`app/hotpath.py`) both call `respond`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from app.body import parse
from app.errors import Diverged
from app.forecaster import Forecast, Forecaster
from app.schemas import GenerateRequest, PredictRequest, limited
from app.settings import Settings

_SLICE = 1024
"""Values that are serialised at a time: about 15 µs."""

Request = TypeVar("Request", bound=PredictRequest)

Answer = Callable[[Request, Forecaster, Callable[[], Awaitable[object]]], Awaitable[bytes]]


@dataclass(frozen=True)
class Endpoint(Generic[Request]):
    """One of the two, with the limits of a server."""

    path: str
    model: type[Request]
    answer: Answer[Request]

    async def respond(
        self, content_type: str, body: bytes, forecaster: Forecaster, client_gone: Callable[[], Awaitable[object]]
    ) -> bytes:
        """The JSON that answers `body`. Raises Problem for whatever is refused."""
        return await self.answer(parse(self.model, content_type, body), forecaster, client_gone)


async def predict(
    request: PredictRequest, forecaster: Forecaster, client_gone: Callable[[], Awaitable[object]]
) -> bytes:
    """A `PredictResponse`, serialised."""
    forecast = await forecaster.forecast(request.sequence, 1, request.timeout_s, client_gone)
    if forecast.diverged:
        raise Diverged("The model has no finite prediction for this sequence.")
    return b'{"prediction":%b}' % orjson.dumps(forecast.chunks[0].item(0))


async def generate(
    request: GenerateRequest, forecaster: Forecaster, client_gone: Callable[[], Awaitable[object]]
) -> bytes:
    """A `GenerateResponse`, serialised."""
    forecast = await forecaster.forecast(request.sequence, request.steps, request.timeout_s, client_gone)
    reason = b"diverged" if forecast.diverged else b"length"
    return b'{"values":[%b],"finish_reason":"%b"}' % (await _numbers(forecast), reason)


async def _numbers(forecast: Forecast) -> bytes:
    """The values with commas between them: orjson reads them out of the array, without a Python object for each.

    A slice at a time, so that a long answer lets others in between.
    """
    parts: list[bytes] = []
    for chunk_S in forecast.chunks:
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
