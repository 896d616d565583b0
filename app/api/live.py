"""WebSocket /live: send a value, get the next prediction, for as long as the connection lasts.

Each answer is that of /predict for all values so far, at the cost of the new ones: the state is carried along. Only a
value beyond all before it changes the scale. Then the whole sequence is encoded again at the new one, for which its
last `longest` values are kept; where there were more, the sequence begins anew with those.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from fastapi import APIRouter, WebSocket
from pydantic import TypeAdapter, ValidationError
from starlette.websockets import WebSocketDisconnect

from app.api.dependencies import CurrentService
from app.api.endpoints import next_value, observed, origin_of
from app.api.parsing import parse_json
from app.api.state_tokens import START, Origin
from app.engine.repository import ServedModel
from app.errors import InvalidRequest, Problem
from app.problems import problem_of, problem_response
from app.schemas import FieldError, PredictRequest, Value

_GOING_AWAY = 1001
_SLACK = 0.05
"""A connection may be closed too early by this part of the time that it may be idle."""
_NUMBER: TypeAdapter[float] = TypeAdapter(Value)

routes = APIRouter()


@routes.websocket("/live")
async def live(socket: WebSocket, service: CurrentService, model: str | None = None) -> None:
    """Answer each message with the next prediction, until the client leaves or is idle for too long."""
    try:
        served = service.serving.repository().named(model)
    except Problem as problem:
        return await socket.send_denial_response(problem_response(problem))
    settings = service.settings
    sequence = LiveSequence(served, lambda name: service.serving.repository().named(name), settings.max_sequence)
    await socket.accept(headers=[served.version])
    idle_s, clock = settings.live_idle_s, asyncio.get_running_loop().time
    until = clock() + idle_s
    try:
        async with asyncio.timeout_at(until) as idle:
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                # Not after each message: setting a timer costs a tenth of what answering does.
                if (later := clock() + idle_s) - until > _SLACK * idle_s:
                    idle.reschedule(until := later)
                await socket.send_text(await _answer(sequence, service.predict.model, message.get("text")))
    except TimeoutError:
        await socket.close(_GOING_AWAY, f"no message for {idle_s:g} s")
    except WebSocketDisconnect:
        pass


class LiveSequence:
    """What one client has sent so far."""

    def __init__(self, served: ServedModel, named: Callable[[str], ServedModel], longest: int) -> None:
        """`served` forecasts until a message names another model, which `named` finds."""
        self._served = served
        self._named = named
        self._longest = longest
        self._origin = START
        self._kept: deque[float] | None = deque(maxlen=longest)
        """The values so far; None after a state token, which does not hold those that it is of."""

    async def observe(self, request: PredictRequest) -> bytes:
        """The answer to the values that come next: a `PredictResponse`, serialised.

        A `state` in the request begins anew from there, and its scale stays; a `model` other than the one so far begins
        anew with that. Raises Problem for what is refused; the sequence is then what it was before.
        """
        new, origin, kept, served = request.sequence, self._origin, self._kept, self._served
        if request.model is not None and request.model != served.info.name:
            served, origin, kept = self._named(request.model), START, deque(maxlen=self._longest)
        if request.state is not None:
            origin, kept = origin_of(request, served), None
        elif kept and self._rescales(new):
            request, origin = request.model_copy(update={"sequence": [*kept, *new]}), START
        content, forecast = await next_value(request, origin, served, None, keeps_state=True)
        if kept is not None:
            kept.extend(new)
        self._origin, self._kept, self._served = Origin(forecast.observed, observed(request, origin)), kept, served
        return content

    def _rescales(self, new: Sequence[float]) -> bool:
        """Whether the model would scale the sequence otherwise with these values."""
        state, runtime = self._origin.state, self._served.forecaster.runtime
        # The first comparison is the cheaper one, and says nothing of a model with a fixed scale.
        return state is not None and max(map(abs, new)) > state.scale and runtime.start(new).scale > state.scale


async def _answer(sequence: LiveSequence, model: type[PredictRequest], message: str | None) -> str:
    """A `PredictResponse`, or the problem with the message. After a problem the sequence goes on."""
    try:
        return (await sequence.observe(_parse(model, message))).decode()
    except Exception as error:
        return bytes(problem_response(problem_of(error, "/live")).body).decode()


def _parse(model: type[PredictRequest], message: str | None) -> PredictRequest:
    """The request in a message: a number, or an object like the body of /predict. None is a binary message."""
    message = message or ""
    if not message.lstrip().startswith("{"):
        try:
            _NUMBER.validate_json(message)
        except ValidationError:
            allowed = "a message is a finite number of at most a million, or an object like the body of POST /predict"
            raise InvalidRequest([FieldError(pointer="", detail=allowed)]) from None
        message = f'{{"sequence":[{message}]}}'
    return parse_json(model, message)
