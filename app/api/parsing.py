"""The reader of request bodies, and the one parser that validates them.

The parser is pydantic's, in Rust, on the raw bytes. FastAPI itself would call `json.loads`, which accepts NaN, UTF-16
and 1e400. The two would have to report the same errors, because not every request passes through FastAPI.
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import Headers
from starlette.types import Receive

from app.errors import ClientGone, InvalidRequest
from sine_client.messages import FieldError

JSON = "application/json"

T = TypeVar("T", bound=BaseModel)


async def read_body(receive: Receive) -> bytes:
    """Return the whole body of a request. Raises ClientGone if the client leaves before its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def content_coding(headers: Headers) -> str:
    """Return the coding of a body in lower case: several as a list, and an empty text for identity."""
    given = ",".join(headers.getlist("content-encoding")).lower().split(",")
    return ", ".join(coding for each in given if (coding := each.strip()) not in ("", "identity"))


async def disconnected(receive: Receive) -> None:
    """Return when the client has left. Call this only after the body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def parse(model: type[T], body: bytes | str, content_type: str = JSON) -> T:
    """Return the request in `body`. Raises InvalidRequest with every invalid field, or with the error of the body."""
    # Some clients send "application/json; charset=utf-8". JSON is UTF-8 by definition.
    if content_type != JSON and content_type.partition(";")[0].strip().lower() != JSON:
        raise invalid("", "the content type must be application/json")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        entries = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidRequest([_field_error(model, entry) for entry in entries]) from None  # the cause holds the input


def invalid(pointer: str, detail: str) -> InvalidRequest:
    """Make the refusal for one error. `pointer` is a JSON Pointer, empty for the body as a whole."""
    return InvalidRequest([FieldError(pointer=pointer, detail=detail)])


def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """Describe a body for OpenAPI. FastAPI does not see bodies that are parsed here."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": model.model_json_schema()}}}}


def _field_error(model: type[BaseModel], entry: ErrorDetails) -> FieldError:
    if entry["type"] == "extra_forbidden":
        # The name of an unknown field is the client's own text, which is not repeated.
        return FieldError(pointer="", detail=f"unknown field; the fields are {', '.join(model.model_fields)}")
    detail = entry["msg"]
    return FieldError(pointer="".join(f"/{part}" for part in entry["loc"]), detail=detail[0].lower() + detail[1:])
