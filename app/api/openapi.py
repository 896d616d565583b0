"""The OpenAPI document, with everything that FastAPI cannot see by itself.

FastAPI describes the JSON that it parses and serialises. Refusals, API keys and the bodies that `app/api/parsing.py`
reads are described here. This is the only place that replaces `app.openapi`.
"""

import json
from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from app.api.guard import OPEN, is_admin
from app.errors import Problem, RateExceeded, Unauthorized, WorkTooLarge
from app.problems import MEDIA_TYPE, TIME_SERIES, problem_response, protocol_of
from app.schemas import InferenceError, TimeSeriesProblem
from app.settings import Settings
from sine_client.messages import ProblemDetails, StreamedValues, StreamEnd

Responses = dict[int | str, dict[str, Any]]

UNDECLARED: Responses = {"default": {}}
"""A response that routes declare and `install` removes. Without it, FastAPI would declare a 422 of its own for each
parameter in a path, which this service never answers."""

_REFERENCE = "#/components/schemas/{model}"

_NAMED = (ProblemDetails, InferenceError, TimeSeriesProblem, StreamedValues, StreamEnd)
"""The models of answers that the document refers to by name."""

_HEADERS = {
    "Accept-Encoding": {"description": "The content-encodings that a body may have.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before the next attempt.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "The kind of key that is required.", "schema": {"type": "string"}},
}
"""The headers of refusals that the document describes."""


def declared(*refusals: Problem | type[Problem], path: str = "") -> Responses:
    """Describe the refusals of an endpoint, each with an example, in the form that `path` has for them.

    A class stands for the example that it makes of itself.
    """
    responses: Responses = {}
    for refusal in refusals:
        problem = refusal.example() if isinstance(refusal, type) else refusal
        answer = problem_response(problem, path)
        status, media_type = answer.status_code, str(answer.media_type)
        title = problem.title if status == problem.status else HTTPStatus(status).phrase
        model: type[BaseModel] = ProblemDetails if media_type == MEDIA_TYPE else InferenceError
        model = TimeSeriesProblem if protocol_of(path) == TIME_SERIES else model
        content = {media_type: {"schema": reference(model), "examples": {}}}
        response = responses.setdefault(status, {"description": title, "content": content})
        response["content"][media_type]["examples"][problem.reason] = {"value": json.loads(bytes(answer.body))}
        if headers := {name: _HEADERS[name] for name in problem.headers if name in _HEADERS}:
            response["headers"] = headers
    return responses


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return a reference to one of the models that `install` describes."""
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def install(app: FastAPI, settings: Settings, *bodies: type[BaseModel]) -> None:
    """Complete the OpenAPI document of `app`. `bodies` are request bodies that the document refers to by name."""
    described_by_fastapi = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        document = described_by_fastapi()
        models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(body, "validation") for body in bodies]
        models += [(model, "serialization") for model in _NAMED]
        _, definitions = models_json_schema(models, ref_template=_REFERENCE)
        document["components"]["schemas"].update(definitions["$defs"])
        keys = settings.api_keys is not None or settings.admin_keys is not None
        if keys:
            document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("default", None)
                if keys:
                    _require_key(operation, path, settings)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _require_key(operation: dict[str, Any], path: str, settings: Settings) -> None:
    """Say that an operation requires a key, if it does: /docs then has a field for it."""
    refusals: list[type[Problem]] = [Unauthorized]
    if settings.admin_keys is None or not is_admin(path):
        if settings.api_keys is None or path in OPEN:
            return
        refusals.append(RateExceeded)
        if settings.steps_per_second is not None and "requestBody" in operation:  # it forecasts
            refusals.append(WorkTooLarge)
    operation["security"] = [{"key": []}]
    for status, response in declared(*refusals, path=path).items():
        known = operation["responses"].setdefault(str(status), response)
        for media_type, content in response["content"].items():
            known["content"][media_type]["examples"].update(content["examples"])
