"""WebSocket /live: send a value, get the next prediction, for as long as the connection lasts."""

import asyncio

from fastapi import APIRouter, WebSocket
from pydantic import TypeAdapter, ValidationError
from starlette.websockets import WebSocketDisconnect

from app.api.endpoints import Endpoint
from app.api.live_sequence import LiveSequence
from app.api.parsing import parse_json
from app.engine.repository import serving
from app.errors import InvalidRequest, Problem
from app.problems import problem_of, problem_response
from app.schemas import FieldError, PredictRequest, Value
from app.settings import Settings

_GOING_AWAY = 1001
_SLACK = 0.05
"""By what part of the time that a connection may be idle it may be closed too early."""
_NUMBER: TypeAdapter[float] = TypeAdapter(Value)


def router(predict: Endpoint[PredictRequest], settings: Settings) -> APIRouter:
    """The endpoint, with the limits of `settings`."""
    routes = APIRouter()

    @routes.websocket("/live")
    async def live(socket: WebSocket, model: str | None = None) -> None:
        try:
            served = serving(socket.app.state).named(model)
        except Problem as problem:
            return await socket.send_denial_response(problem_response(problem))
        sequence = LiveSequence(served, lambda name: serving(socket.app.state).named(name), settings.max_sequence)
        await socket.accept(headers=[served.version])
        idle_s, clock = settings.live_idle_s, asyncio.get_running_loop().time
        until = clock() + idle_s
        try:
            async with asyncio.timeout_at(until) as idle:
                while (message := await socket.receive())["type"] != "websocket.disconnect":
                    # Not after each message: setting a timer costs a tenth of what answering does.
                    if (later := clock() + idle_s) - until > _SLACK * idle_s:
                        idle.reschedule(until := later)
                    await socket.send_text(await _answer(sequence, predict.model, message.get("text")))
        except TimeoutError:
            await socket.close(_GOING_AWAY, f"no message for {idle_s:g} s")
        except WebSocketDisconnect:
            pass

    return routes


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
