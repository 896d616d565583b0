"""From the bytes of a body to a validated request: one parser, whichever way a request came in.

It is pydantic's, in Rust, over the raw bytes. FastAPI's own way goes through `json.loads`, which reads NaN, UTF-16 and
1e400 as if they were JSON, and would then have to agree with a second parser on what is wrong with them.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.errors import InvalidRequest
from app.schemas import FieldError

T = TypeVar("T", bound=BaseModel)


def parse(model: type[T], content_type: str, body: bytes) -> T:
    """The request in `body`.

    Raises:
        InvalidRequest: with every field that is wrong, or what is wrong with the body as a whole.
    """
    # "application/json; charset=utf-8" is what some clients send; JSON is UTF-8 by definition.
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise InvalidRequest([FieldError(pointer="", detail="the content type must be application/json")])
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidRequest(_field_errors(model, error)) from None  # the cause holds the input


def json_body(model: type[T]) -> Callable[[Request], Awaitable[T]]:
    """A FastAPI dependency that parses the request's body."""

    async def parsed(request: Request) -> T:
        return parse(model, request.headers.get("content-type", ""), await request.body())

    return parsed


def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI description of a body that `json_body` parses: FastAPI does not see it as a parameter."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def _field_errors(model: type[BaseModel], error: ValidationError) -> list[FieldError]:
    errors = []
    for entry in error.errors(include_url=False, include_context=False, include_input=False):
        if entry["type"] == "extra_forbidden":
            # The name of an unknown field is the client's own text, which is not repeated.
            pointer, detail = "", f"unknown field; the fields are {', '.join(model.model_fields)}"
        else:
            pointer, detail = "".join(f"/{part}" for part in entry["loc"]), entry["msg"]
        errors.append(FieldError(pointer=pointer, detail=detail[0].lower() + detail[1:]))
    return errors
