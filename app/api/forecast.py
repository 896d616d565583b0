"""The endpoints that forecast, as FastAPI sees them. What they do is in `app/api/endpoints.py`."""

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
from app.api.parsing import disconnected, documented_body, read_body
from app.engine.repository import Repository
from app.errors import DeadlineExceeded, InvalidRequest, Overloaded, UnknownModel
from app.problems import declared, problem_of, problem_response
from app.schemas import GenerateRequest, GenerateResponse, PredictRequest, PredictResponse

Events = AsyncGenerator[Event]

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events.",
        "content": {
            "text/event-stream": {
                "itemSchema": {
                    "type": "object",
                    "properties": {
                        "event": {"enum": ["values", "done", "error"]},
                        "data": {"type": "string", "contentMediaType": "application/json"},
                    },
                }
            }
        },
    }
}

_AS_IT_COMES = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Headers of a stream: neither a browser nor nginx shall collect it."""


class _EventStream(StreamingResponse):
    """A rollout's events. With the response ends the rollout, also where its client has left.

    FastAPI's own response has a task that sends comments where nothing comes for a while. Here something does, and that
    task may raise where the client leaves.
    """

    media_type = "text/event-stream"

    body_iterator: AsyncGenerator[bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.body_iterator):
            await super().__call__(scope, receive, send)


_GOES_ON: dict[int | str, dict[str, Any]] = {
    200: {
        "links": {
            f"{operation}_from_state": {
                "operationId": operation,
                "requestBody": {"state": "$response.body#/state"},
                "description": "The state token of the answer is where the next request goes on from.",
            }
            for operation in ("predict", "generate", "generate_stream")
        }
    }
}


def router(predict_endpoint: Endpoint[PredictRequest], generate_endpoint: Endpoint[GenerateRequest]) -> APIRouter:
    """All three endpoints."""
    refusals = declared(InvalidRequest, UnknownModel, Overloaded, DeadlineExceeded)
    routes = APIRouter(tags=["forecast"], responses=refusals)

    @routes.post(
        "/predict",
        operation_id="predict",
        response_model=PredictResponse,
        responses=_GOES_ON,
        openapi_extra=documented_body(predict_endpoint.model),
    )
    async def predict(request: Request, repository: CurrentRepository) -> Response:
        """The value that follows a sequence."""
        return await _respond(predict_endpoint, request, repository)

    @routes.post(
        "/generate",
        operation_id="generate",
        response_model=GenerateResponse,
        responses=_GOES_ON,
        openapi_extra=documented_body(generate_endpoint.model),
    )
    async def generate(request: Request, repository: CurrentRepository) -> Response:
        """The values that follow a sequence: each prediction becomes the next input."""
        return await _respond(generate_endpoint, request, repository)

    @routes.post(
        "/generate/stream",
        operation_id="generate_stream",
        response_class=Response,
        responses=_EVENTS,
        openapi_extra=documented_body(generate_endpoint.model),
    )
    async def generate_stream(request: Request, repository: CurrentRepository) -> Response:
        """The values of `/generate` as they are computed, as server-sent events.

        Events `values` hold the next values each (`StreamedValues`). The last event is `done` (`StreamEnd`), or `error`
        with a problem if the rollout cannot be finished. Reading slowly makes it slow; closing the connection ends it.
        """
        body = await read_body(request.receive)
        asked, served = generate_endpoint.asked(request.headers.get("content-type", ""), body, repository)
        events = stream(asked, served)
        # The first event is made before the response begins: what is refused is refused with its status.
        response = _EventStream(_formatted(await anext(events), events), headers=_AS_IT_COMES)
        response.raw_headers.append(served.version)
        return response

    return routes


async def _formatted(first: Event, events: Events) -> AsyncGenerator[bytes]:
    yield _sent(first)
    async with aclosing(events):
        try:
            async for event in events:
                await asyncio.sleep(0)  # what was made before is sent first
                yield _sent(event)
        except Exception as error:
            problem = problem_of(error, "POST /generate/stream")
            yield _sent(Event("error", bytes(problem_response(problem).body)))


def _sent(event: Event) -> bytes:
    return format_sse_event(event=event.name, data_str=event.data.decode())


async def _respond(
    endpoint: Endpoint[PredictRequest] | Endpoint[GenerateRequest], request: Request, repository: Repository
) -> Response:
    body = await read_body(request.receive)
    return await endpoint.respond(request.headers, body, repository, lambda: disconnected(request.receive))
