"""WebSocket /live: the client sends values, and gets the next prediction after each message.

Each answer equals that of /predict for all values so far, at the cost of the new ones, because the connection keeps the
state. Only a value larger in size than all before changes the scale. The whole sequence is then encoded again at the
new scale. The connection keeps its last `longest` values for this; a longer sequence begins again with those.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from fastapi import APIRouter, WebSocket
from pydantic import TypeAdapter, ValidationError
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from app.api.dependencies import CurrentService
from app.api.endpoints import next_value, observed, origin_of
from app.api.parsing import invalid, parse
from app.api.state_tokens import START, Origin
from app.engine.repository import ServedModel
from app.errors import Problem
from app.problems import problem_of, problem_response
from app.schemas import PredictRequest, Value

_GOING_AWAY = 1001
_SLACK = 0.05
"""The part of the permitted idle time by which a connection may be closed too early."""
_NUMBER: TypeAdapter[float] = TypeAdapter(Value)

routes = APIRouter()


@routes.websocket("/live")
async def live(socket: WebSocket, service: CurrentService, model: str | None = None) -> None:
    """Answer each message with the next prediction, until the client leaves or is idle for too long."""
    settings, repository = service.settings, service.serving.repository
    try:
        served = repository().named(model)
    except Problem as problem:
        return await socket.send_denial_response(problem_response(problem))
    sequence = LiveSequence(served, lambda name: repository().named(name), settings.max_sequence)
    await socket.accept(headers=[served.version])
    idle_s, clock = settings.live_idle_s, asyncio.get_running_loop().time
    until = clock() + idle_s
    try:
        async with asyncio.timeout_at(until) as idle:
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                # Setting a timer costs a tenth of an answer, so not every message sets it.
                if (later := clock() + idle_s) - until > _SLACK * idle_s:
                    idle.reschedule(until := later)
                await socket.send_text(await _answer(sequence, service.predict.model, _content(message)))
    except TimeoutError:
        await socket.close(_GOING_AWAY, f"no message for {idle_s:g} s")
    except WebSocketDisconnect:
        pass


class LiveSequence:
    """The values that one client has sent so far, and the model's state after them."""

    def __init__(self, served: ServedModel, named: Callable[[str], ServedModel], longest: int) -> None:
        """`served` forecasts until a message names another model, which `named` finds."""
        self._served = served
        self._named = named
        self._longest = longest
        self._origin = START
        self._kept: deque[float] | None = deque(maxlen=longest)
        """The values so far. None after a state token, which does not hold the values that it covers."""

    async def observe(self, request: PredictRequest) -> bytes:
        """Return the answer to the next values, a serialised `PredictResponse`.

        A `state` in the request replaces the sequence, and its scale stays. Another `model` than the current one begins
        a new sequence. Raises Problem if the request is refused; the sequence then stays as it was.
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
        """Return whether these values change the scale of the sequence."""
        state, runtime = self._origin.state, self._served.forecaster.runtime
        # The first comparison is cheaper, but does not suffice for a model with a fixed scale.
        return state is not None and max(map(abs, new)) > state.scale and runtime.start(new).scale > state.scale


def _content(message: Message) -> str | bytes:
    """Return the content of a text message, or of a binary one: some clients send every message as bytes."""
    text: str | None = message.get("text")
    return message["bytes"] if text is None else text


async def _answer(sequence: LiveSequence, model: type[PredictRequest], message: str | bytes) -> str:
    """Return a `PredictResponse`, or the problem with the message. The sequence continues after a problem."""
    try:
        return (await sequence.observe(_parse(model, message))).decode()
    except Exception as error:
        return bytes(problem_response(problem_of(error, "/live")).body).decode()


def _parse(model: type[PredictRequest], message: str | bytes) -> PredictRequest:
    """Return the request in a message: a number, or an object like the body of /predict, as text or as its UTF-8."""
    if isinstance(message, bytes):
        try:
            message = message.decode()
        except UnicodeDecodeError:
            raise invalid("", "a message is text; the bytes of a binary message have to be UTF-8") from None
    if not message.lstrip().startswith("{"):
        try:
            _NUMBER.validate_json(message)
        except ValidationError:
            allowed = "a message is a finite number of at most 1e15, or an object like the body of POST /predict"
            raise invalid("", allowed) from None
        message = f'{{"sequence":[{message}]}}'
    return parse(model, message)
