"""The HTTP form of every refusal, in one place: problem+json, RFC 9457.

What FastAPI and Starlette refuse by themselves (404, 405) gets the same form.

Below /v2, the form is that of the Open Inference Protocol, `{"error": detail}`, and the statuses are those that its
clients know from Triton: 400 for what is 422 elsewhere, and 503 for 504.
"""

import errno
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from app.errors import Exhausted, Failed, InvalidRequest, Problem
from app.open_inference.schemas import InferenceError, InferRequest
from app.schemas import FieldError, ProblemDetails
from app.telemetry.context import refused

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

UNDECLARED = "default"
"""A response that routes declare and the OpenAPI document does not have: without it, FastAPI would declare its own 422
for the parameters in a path, which nothing here answers."""

_OPEN_INFERENCE_STATUS = {422: 400, 504: 503}

_HEADERS = {
    "Retry-After": {"description": "Seconds until it may be asked for again.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "What kind of key is wanted.", "schema": {"type": "string"}},
}
"""Of refusals, as the OpenAPI document has them."""

_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC}


def is_open_inference(path: str) -> bool:
    """Whether a path belongs to the Open Inference Protocol."""
    return path == "/v2" or path.startswith("/v2/")


def problem_of(error: Exception, what: str) -> Problem:
    """What an error is to the client. Called where it was caught: one that nobody expected goes to the log."""
    if isinstance(error, Problem):
        return error
    log.exception("%s failed", what)
    return _unexpected(error)


def _unexpected(error: Exception) -> Problem:
    """What an error is that is not a Problem. What the system has too little of may be there again soon."""
    if isinstance(error, OSError):
        return Exhausted() if error.errno in _SCARCE else Failed()
    no_thread = isinstance(error, RuntimeError) and str(error) == "can't start new thread"
    return Exhausted() if no_thread or isinstance(error, MemoryError) else Failed()


def problem_response(problem: Problem, path: str = "") -> Response:
    """The HTTP form of a refusal, in the form that this path has for it."""
    refused(problem.reason)
    return _response(problem.status, problem.title, problem.detail, problem.errors, problem.headers, path)


def declared(*kinds: type[Problem], path: str = "") -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of the refusals that an endpoint can answer, in the form that its path has for them."""
    of_protocol = is_open_inference(path)
    model, media_type = ("InferenceError", "application/json") if of_protocol else ("ProblemDetails", MEDIA_TYPE)
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{model}"}}}
    described: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status = _status(kind.status, path)
        title = kind.title if status == kind.status else HTTPStatus(status).phrase
        response = described.setdefault(status, {"description": title, "content": content})
        if headers := {name: _HEADERS[name] for name in kind.headers if name in _HEADERS}:
            response["headers"] = headers
    return described


def _status(status: int, path: str) -> int:
    return _OPEN_INFERENCE_STATUS.get(status, status) if is_open_inference(path) else status


def install(app: FastAPI) -> None:
    """Make `app` answer every refusal as a problem, and say so in its OpenAPI document."""

    openapi = app.openapi

    def openapi_with_problems() -> dict[str, Any]:
        # FastAPI collects the models of JSON responses and of bodies that it parses; these are neither to it.
        document = openapi()
        _, definitions = models_json_schema(
            [(ProblemDetails, "serialization"), (InferenceError, "serialization"), (InferRequest, "validation")],
            ref_template="#/components/schemas/{model}",
        )
        document["components"]["schemas"].update(definitions["$defs"])
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop(UNDECLARED, None)
        return document

    app.openapi = openapi_with_problems  # type: ignore[method-assign]

    @app.exception_handler(Problem)
    async def on_problem(request: Request, problem: Problem) -> Response:
        return problem_response(problem, request.scope["path"])

    @app.exception_handler(RequestValidationError)
    async def on_validation(request: Request, error: RequestValidationError) -> Response:
        # FastAPI's own handler repeats the input, and fails on NaN.
        errors = [FieldError(pointer="", detail=str(e["msg"])) for e in error.errors()]
        return problem_response(InvalidRequest(errors), request.scope["path"])

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        detail = status.description or status.phrase
        return _response(status, status.phrase, detail, None, error.headers or {}, request.scope["path"])

    @app.exception_handler(Exception)
    async def on_error(request: Request, error: Exception) -> Response:
        return problem_response(_unexpected(error), request.scope["path"])


def _response(
    status: int, title: str, detail: str, errors: Sequence[FieldError] | None, headers: Mapping[str, str], path: str
) -> Response:
    if is_open_inference(path):
        content = InferenceError(error=detail).model_dump_json()
        return Response(content, _status(status, path), headers, "application/json")
    body = ProblemDetails(title=title, status=status, detail=detail, errors=None if errors is None else [*errors])
    return Response(body.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)
