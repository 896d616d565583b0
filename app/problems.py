"""The HTTP form of every refusal: problem details (RFC 9457).

Refusals of FastAPI and Starlette (404, 405) take the same form.

Below /v1/timeseries they take that of KServe's protocol for time series, `{"error": {"code", "message", …}}`. Below
/v2, refusals take the form of the Open Inference Protocol, `{"error": detail}`. Its clients know the statuses of
Triton: 400 stands for 422, and 503 for 504.
"""

import errno
import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.errors import Exhausted, Failed, InvalidRequest, Problem
from app.schemas import InferenceError, TimeSeriesError, TimeSeriesProblem
from app.telemetry.context import note_refusal
from sine_client.messages import FieldError, ProblemDetails

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

OPEN_INFERENCE, TIME_SERIES = "/v2", "/v1/timeseries"

_OPEN_INFERENCE_STATUS = {422: 400, 504: 503}
_TIME_SERIES_STATUS = {422: 400}

_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC}


def is_open_inference(path: str) -> bool:
    """Return whether a path belongs to the Open Inference Protocol."""
    return path == OPEN_INFERENCE or path.startswith(f"{OPEN_INFERENCE}/")


def protocol_of(path: str) -> str:
    """Return the first part of the paths of a protocol that has refusals of its own form, empty for all other paths."""
    if is_open_inference(path):
        return OPEN_INFERENCE
    return TIME_SERIES if path == TIME_SERIES or path.startswith(f"{TIME_SERIES}/") else ""


def problem_of(error: Exception, what: str) -> Problem:
    """The refusal that answers an error. Logs an error that nobody expected, so call it where the error is caught."""
    if not isinstance(error, Problem):
        log.exception("%s failed", what)
    return _refusal(error)


def _refusal(error: Exception) -> Problem:
    """The refusal that answers an error. A client may retry when a system resource was exhausted."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        # FastAPI's own handler repeats the input, and fails on NaN.
        return InvalidRequest([FieldError(pointer="", detail=str(each["msg"])) for each in error.errors()])
    no_resource = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SCARCE)
    no_thread = isinstance(error, RuntimeError) and str(error) == "can't start new thread"
    return Exhausted() if no_resource or no_thread else Failed()


def problem_response(problem: Problem, path: str = "") -> Response:
    """The response for a refusal, in the form that `path` has for it. Metrics count the refusal."""
    note_refusal(problem.reason)
    return _response(problem, path)


def install(app: FastAPI) -> None:
    """Make `app` answer every refusal as a problem."""

    @app.exception_handler(Problem)
    @app.exception_handler(RequestValidationError)
    @app.exception_handler(Exception)
    async def on_error(request: Request, error: Exception) -> Response:
        return problem_response(_refusal(error), request.scope["path"])

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        problem = Problem(status.description or status.phrase)
        problem.status, problem.title, problem.headers = status, status.phrase, error.headers or {}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem.headers = {**problem.headers, "Allow": _allowed(problem.headers)}
        return _response(problem, request.scope["path"])


def _allowed(headers: Mapping[str, str]) -> str:
    """Return the methods that a path allows, from the headers of Starlette's refusal. A path of files has none there.

    `app/api/head.py` answers HEAD wherever a route answers GET.
    """
    methods = set(headers.get("Allow", "GET").split(", "))
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _response(problem: Problem, path: str) -> Response:
    status, detail = problem.status, problem.detail
    if is_open_inference(path):
        content = InferenceError(error=detail).model_dump_json()
        return Response(content, _OPEN_INFERENCE_STATUS.get(status, status), problem.headers, "application/json")
    if protocol_of(path) == TIME_SERIES:
        status = _TIME_SERIES_STATUS.get(status, status)
        place = problem.errors[0].pointer if problem.errors else ""
        kind = (
            f"{problem.title.replace(' ', '').removesuffix('Error')}Error"
            if status != HTTPStatus.BAD_REQUEST
            else "BadRequestError"
        )
        error = TimeSeriesError(code=str(status), message=detail, param=place, type=kind)
        content = TimeSeriesProblem(error=error).model_dump_json()
        return Response(content, status, problem.headers, "application/json")
    errors = None if problem.errors is None else [*problem.errors]
    body = ProblemDetails(title=problem.title, status=status, detail=detail, errors=errors)
    return Response(body.model_dump_json(exclude_none=True), status, problem.headers, MEDIA_TYPE)
