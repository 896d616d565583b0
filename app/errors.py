"""Every refusal that a client can get, and the one place that turns it into HTTP: problem+json, RFC 9457.

    Problem
    ├── InvalidRequest      422  the body is not what the contract says
    ├── Diverged            422  the model has no finite answer to it
    ├── BodyTooLarge        413
    └── NotReady            503  the service is starting or stopping

What FastAPI and Starlette refuse by themselves (404, 405) gets the same form. An unexpected error is a 500 without
its message: that goes to the log. Nothing that a client sent is ever repeated to it.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from app.schemas import FieldError, ProblemDetails

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A refusal. `detail` is written for the client."""

    status: HTTPStatus
    errors: Sequence[FieldError] | None = None
    headers: Mapping[str, str] = {}

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidRequest(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer or 'body'}: {error.detail}" for error in errors))
        self.errors = errors


class Diverged(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class BodyTooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(f"A request body has at most {max_body_bytes} bytes.")


class NotReady(Problem):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = {"Retry-After": "1"}  # noqa: RUF012 - a Mapping, which nobody can change


def problem_response(problem: Problem) -> Response:
    """The HTTP form of a refusal."""
    return _response(problem.status, problem.detail, problem.errors, problem.headers)


def declared(*kinds: type[Problem]) -> dict[int | str, dict[str, object]]:
    """The OpenAPI description of the refusals that an endpoint can answer."""
    return {
        kind.status.value: {
            "description": kind.status.phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for kind in kinds
    }


def install(app: FastAPI) -> None:
    """Make `app` answer every refusal as a problem, and say so in its OpenAPI document."""

    openapi = app.openapi

    def openapi_with_problems() -> dict[str, Any]:
        # FastAPI collects the models of JSON responses only, and a problem is not one to it.
        document = openapi()
        _, definitions = models_json_schema(
            [(ProblemDetails, "serialization")], ref_template="#/components/schemas/{model}"
        )
        document["components"]["schemas"].update(definitions["$defs"])
        return document

    app.openapi = openapi_with_problems  # type: ignore[method-assign]

    @app.exception_handler(Problem)
    async def on_problem(_: Request, problem: Problem) -> Response:
        return problem_response(problem)

    @app.exception_handler(RequestValidationError)
    async def on_validation(_: Request, error: RequestValidationError) -> Response:
        # FastAPI's own handler repeats the input, and fails on NaN.
        return problem_response(InvalidRequest([FieldError(pointer="", detail=str(e["msg"])) for e in error.errors()]))

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        return _response(status, status.description or status.phrase, None, error.headers or {})

    @app.exception_handler(Exception)
    async def on_error(_: Request, __: Exception) -> Response:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return _response(status, "The service failed; its log says why.", None, {})


def _response(
    status: HTTPStatus, detail: str, errors: Sequence[FieldError] | None, headers: Mapping[str, str]
) -> Response:
    body = ProblemDetails(
        title=status.phrase, status=status, detail=detail, errors=None if errors is None else [*errors]
    )
    return Response(body.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)
