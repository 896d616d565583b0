"""WebSocket /live: the client sends values, and gets the next prediction after each message.

Each answer equals that of /predict for all values so far, at the cost of the new ones, because the connection keeps the
state. Only a value below or above all before changes the units, and new values may show another season. The whole
sequence is then encoded again. The connection keeps its last `longest` values for this; a longer sequence begins again
with those.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from fastapi import APIRouter, WebSocket
from pydantic import TypeAdapter, ValidationError
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from app.api.dependencies import CurrentService
from app.api.endpoints import beginning, check_season, next_value, origin_of
from app.api.parsing import invalid, parse
from app.api.state_tokens import Origin
from app.engine.repository import ServedModel
from app.errors import Problem
from app.problems import problem_of, problem_response
from model.runtime.base import State
from sine_client.messages import PredictRequest, Value

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
        self._state: State | None = None
        self._told: int | None = None
        """The season that a message has told; None if it is found in the values."""

        self._kept: deque[float] | None = deque(maxlen=longest)
        """The values so far. None after a state token that does not hold the values that it covers."""
        self._lowest, self._highest = 0.0, 0.0
        """The range of the values that the state's units come from."""

    async def observe(self, request: PredictRequest) -> bytes:
        """Return the answer to the next values, a serialised `PredictResponse`.

        A `state` in the request replaces the sequence. Another `model` than the current one begins a new sequence.
        Raises Problem if the request is refused; the sequence then stays as it was.
        """
        served, state, kept, told = self._served, self._state, self._kept, self._told
        if request.model is not None and request.model not in served.names:
            served, state, told = self._named(request.model), None, None
        told = request.season or told
        if request.state is not None:
            origin, kept = origin_of(request, served), None
            told = origin.told
        elif state is None:
            origin = beginning(request.sequence, told, served)
        elif kept is None:
            check_season(request, state, served)
            origin = Origin(state, request.sequence)
        else:
            origin = self._continued(state, kept, request.sequence, told, served)
        content, forecast = await next_value(request, origin, served, None, keeps_state=True)
        if origin.state is None:
            kept = deque(origin.values, maxlen=self._longest)
            self._lowest, self._highest = min(origin.values), max(origin.values)
        elif kept is not None:
            kept.extend(origin.values)
        self._served, self._state, self._kept, self._told = served, forecast.observed, kept, told
        return content

    def _continued(
        self, state: State, kept: Iterable[float], new: Sequence[float], told: int | None, served: ServedModel
    ) -> Origin:
        """Return the state and the new values, or all values if the new ones change the units or the season."""
        changed = self._changes_units(state, new)
        if not changed and (not served.is_seasonal or told == state.season):
            return Origin(state, new)
        whole = beginning([*kept, *new], told, served)
        return whole if changed or whole.season != state.season else Origin(state, new)

    def _changes_units(self, state: State, new: Sequence[float]) -> bool:
        """Return whether the sequence has other units with these values."""
        lowest, highest = min(self._lowest, *new), max(self._highest, *new)
        if (lowest, highest) == (self._lowest, self._highest):
            return False
        wider = self._served.forecaster.runtime.start([lowest, highest])
        return (wider.level, wider.scale) != (state.level, state.scale)


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
            return model(sequence=[_NUMBER.validate_json(message)])
        except ValidationError:
            allowed = "a message is a finite number of at most 1e15, or an object like the body of POST /predict"
            raise invalid("", allowed) from None
    return parse(model, message)
