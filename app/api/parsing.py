"""From the body of a request to a validated request: one reader and one parser, whichever way a request came in.

The parser is pydantic's, in Rust, over the raw bytes. FastAPI's own way goes through `json.loads`, which reads NaN,
UTF-16 and 1e400 as if they were JSON, and would then have to agree with a second parser on what is wrong with them.
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.types import Receive

from app.errors import ClientGone, InvalidRequest
from app.schemas import FieldError

JSON = "application/json"

T = TypeVar("T", bound=BaseModel)


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request. Raises ClientGone if it ends before its end."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone. Only after the body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def parse(model: type[T], content_type: str, body: bytes) -> T:
    """The request in `body`.

    Raises:
        InvalidRequest: with every field that is wrong, or what is wrong with the body as a whole.
    """
    # "application/json; charset=utf-8" is what some clients send; JSON is UTF-8 by definition.
    if content_type != JSON and content_type.partition(";")[0].strip().lower() != JSON:
        raise InvalidRequest([FieldError(pointer="", detail="the content type must be application/json")])
    return parse_json(model, body)


def parse_json(model: type[T], body: bytes | str) -> T:
    """As `parse`, where there is no content type."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidRequest(_field_errors(model, error)) from None  # the cause holds the input


def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI description of a body that is parsed here: FastAPI does not see it as a parameter."""
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
