"""Every refusal that a client can get, and the one place that turns it into HTTP: problem+json, RFC 9457.

    Problem
    ├── InvalidRequest      422  the body is not what the contract says
    ├── Diverged            422  the model has no finite answer to it
    ├── RequestTimeout      408  the rest of a request did not come
    ├── BodyTooLarge        413
    ├── HeadTooLarge        431
    ├── ClientGone          499  nobody waits for the answer any more; seen in metrics only
    ├── Failed              500  an error that nobody expected; its message goes to the log alone
    ├── NotReady            503  the service is starting or stopping
    ├── Overloaded          503  more work is waiting than can be done in time
    └── DeadlineExceeded    504  it was not done in time

What FastAPI and Starlette refuse by themselves (404, 405) gets the same form. Nothing that a client sent is ever
repeated to it.
"""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from app.schemas import FieldError, ProblemDetails

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A refusal. `detail` is written for the client."""

    status: int
    title: str
    errors: Sequence[FieldError] | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidRequest(Problem):
    status = 422
    title = "Unprocessable Content"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer or 'body'}: {error.detail}" for error in errors))
        self.errors = errors


class Diverged(Problem):
    status = 422
    title = "Unprocessable Content"


class BodyTooLarge(Problem):
    status = 413
    title = "Content Too Large"
    headers = MappingProxyType({"Connection": "close"})  # or the rest of the body would have to be read

    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(f"A request body has at most {max_body_bytes} bytes.")


class RequestTimeout(Problem):
    status = 408
    title = "Request Timeout"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"A request has to be there as a whole within {timeout_s:g} s.")


class HeadTooLarge(Problem):
    status = 431
    title = "Request Header Fields Too Large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The head of a request has at most {max_bytes} bytes.")


class ClientGone(Problem):
    status = 499  # what nginx logs for it; HTTP has no name
    title = "Client Closed Request"

    def __init__(self) -> None:
        super().__init__("The client closed the connection before the answer was there.")


class Failed(Problem):
    status = 500
    title = "Internal Server Error"

    def __init__(self) -> None:
        super().__init__("The service failed; its log says why.")


class NotReady(Problem):
    status = 503
    title = "Service Unavailable"
    headers = MappingProxyType({"Retry-After": "1"})


class Overloaded(Problem):
    status = 503
    title = "Service Unavailable"

    def __init__(self, excess_s: float) -> None:
        """`excess_s` is how long the work that is waiting takes to shrink by as much as this request is too much."""
        retry_after_s = max(1, math.ceil(excess_s))
        super().__init__(f"Too much work is waiting. This request could be admitted in {retry_after_s} s.")
        self.headers = {"Retry-After": str(retry_after_s)}


class DeadlineExceeded(Problem):
    status = 504
    title = "Gateway Timeout"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The forecast was not done in {timeout_s:g} s, and was given up.")


def problem_response(problem: Problem) -> Response:
    """The HTTP form of a refusal."""
    return _response(problem.status, problem.title, problem.detail, problem.errors, problem.headers)


def declared(*kinds: type[Problem]) -> dict[int | str, dict[str, object]]:
    """The OpenAPI description of the refusals that an endpoint can answer."""
    return {
        kind.status: {
            "description": kind.title,
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
        return _response(status, status.phrase, status.description or status.phrase, None, error.headers or {})

    @app.exception_handler(Exception)
    async def on_error(_: Request, __: Exception) -> Response:
        return problem_response(Failed())


def _response(
    status: int, title: str, detail: str, errors: Sequence[FieldError] | None, headers: Mapping[str, str]
) -> Response:
    body = ProblemDetails(title=title, status=status, detail=detail, errors=None if errors is None else [*errors])
    return Response(body.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)
