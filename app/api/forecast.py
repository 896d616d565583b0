"""POST /predict, /generate and /generate/stream as FastAPI endpoints. `app/api/endpoints.py` does the work."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from app.api.dependencies import CurrentRepository
from app.api.endpoints import Endpoint, Event, stream
from app.api.exchange import asked
from app.api.openapi import declared, reference
from app.api.parsing import disconnected, documented_body, read_body
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
from app.problems import problem_of, problem_response
from sine_client.messages import (
    GenerateRequest,
    GenerateResponse,
    PredictRequest,
    PredictResponse,
    ProblemDetails,
    StreamedValues,
    StreamEnd,
)

_EVENT = {
    "event": {"enum": ["values", "done", "error"]},
    "data": {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": [reference(data) for data in (StreamedValues, StreamEnd, ProblemDetails)]},
    },
}
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events of the rollout.",
        "content": {"text/event-stream": {"itemSchema": {"type": "object", "properties": _EVENT}}},
    }
}

_LINKS = {
    f"{operation}_from_state": {
        "operationId": operation,
        "requestBody": {"state": "$response.body#/state"},
        "description": "The next request continues from the state token of this answer.",
    }
    for operation in ("predict", "generate", "generate_stream")
}
_CONTINUES: dict[int | str, dict[str, Any]] = {200: {"links": _LINKS}}


class _EventStream(StreamingResponse):
    """A rollout's events. The rollout ends with the response, even when the client has left.

    FastAPI's own response has a task that sends comments during silence. A rollout is never silent for long, and that
    task may raise when the client leaves.
    """

    media_type = "text/event-stream"

    body_iterator: AsyncGenerator[bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.body_iterator):
            await super().__call__(scope, receive, send)


def router(predict_endpoint: Endpoint[PredictRequest], generate_endpoint: Endpoint[GenerateRequest]) -> APIRouter:
    """All three endpoints."""
    refusals = declared(
        InvalidRequest, UnknownModel, UnsupportedEncoding, NotReady, Exhausted, Overloaded, DeadlineExceeded
    )
    routes = APIRouter(tags=["forecast"], responses=refusals)

    @routes.post(
        "/predict",
        operation_id="predict",
        summary="Predict the next value of a sequence.",
        response_model=PredictResponse,
        responses=_CONTINUES | declared(InvalidRequest, Diverged),
        openapi_extra=documented_body(predict_endpoint.model),
    )
    async def predict(request: Request, repository: CurrentRepository) -> Response:
        """The answer holds one value: the prediction for the time step after the sequence."""
        body = await read_body(request.receive)
        return await predict_endpoint.respond(request.headers, body, repository, lambda: disconnected(request.receive))

    @routes.post(
        "/generate",
        operation_id="generate",
        summary="Generate the next values of a sequence.",
        response_model=GenerateResponse,
        responses=_CONTINUES,
        openapi_extra=documented_body(generate_endpoint.model),
    )
    async def generate(request: Request, repository: CurrentRepository) -> Response:
        """The answer holds a rollout of `steps` values: each prediction becomes the next input of the model."""
        body = await read_body(request.receive)
        return await generate_endpoint.respond(request.headers, body, repository, lambda: disconnected(request.receive))

    @routes.post(
        "/generate/stream",
        operation_id="generate_stream",
        summary="Stream the next values of a sequence.",
        response_class=Response,
        responses=_EVENTS,
        openapi_extra=documented_body(generate_endpoint.model),
    )
    async def generate_stream(request: Request, repository: CurrentRepository) -> Response:
        """The answer holds the values of `/generate` as server-sent events, each sent as soon as it is computed.

        Each event `values` holds the next part of the rollout (`StreamedValues`). The last event is `done`
        (`StreamEnd`), with the warnings if there are any, and the fit and the state if the request asks for them. If
        the rollout cannot be finished, the last event is `error`, and its data is a problem (`ProblemDetails`).
        A client that reads slowly slows the rollout down, and one that closes the connection ends it.
        """
        body = await read_body(request.receive)
        generation, served = asked(generate_endpoint.model, request.headers, body, repository)
        events = stream(generation, served)
        unbuffered = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # by browsers and nginx
        # Make the first event before the response begins: a refusal then has its own status.
        response = _EventStream(_formatted(await anext(events), events), headers=unbuffered)
        response.raw_headers.append(served.version)
        return response

    return routes


async def _formatted(first: Event, events: AsyncGenerator[Event]) -> AsyncGenerator[bytes]:
    async with aclosing(events):
        try:
            yield _sent(first)
            async for event in events:
                await asyncio.sleep(0)  # the event before is sent first
                yield _sent(event)
        except Exception as error:
            problem = problem_of(error, "POST /generate/stream")
            yield _sent(Event("error", bytes(problem_response(problem).body)))


def _sent(event: Event) -> bytes:
    return format_sse_event(event=event.name, data_str=event.data.decode())
