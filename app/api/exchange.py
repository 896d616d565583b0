"""The two ends of a request with a body: from headers and bytes to a request and its model, from JSON to a response."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.responses import Response

from app.api.parsing import JSON, content_coding, parse
from app.engine.repository import Repository, ServedModel
from app.errors import UnsupportedEncoding

_JSON = b"content-type", JSON.encode()

RawHeaders = list[tuple[bytes, bytes]]
"""Header fields as they are on the wire, their names in lower case."""

ClientGone = Callable[[], Awaitable[object]]

Request = TypeVar("Request", bound=BaseModel)
Result = TypeVar("Result")


class Written(NamedTuple):
    """A response that is ready to be sent."""

    content: bytes
    headers: RawHeaders

    def response(self) -> Response:
        """Return it as an ASGI application."""
        response = Response(self.content)
        response.raw_headers = self.headers
        return response


def written_json(content: bytes, served: ServedModel) -> Written:
    """Return the response with this JSON of a model."""
    return Written(content, [served.version, (b"content-length", b"%d" % len(content)), _JSON])


def asked(model: type[Request], headers: Headers, body: bytes, repository: Repository) -> tuple[Request, ServedModel]:
    """Return the request in `body`, and the model that it names. Raises Problem if it is refused."""
    if content_coding(headers):
        raise UnsupportedEncoding([])
    return parsed(model, headers.get("content-type", ""), body, repository)


def parsed(model: type[Request], content_type: str, body: bytes, repository: Repository) -> tuple[Request, ServedModel]:
    """Return the request in an uncompressed `body`, which has a field `model`, and the model that it names."""
    request = parse(model, body, content_type)
    return request, repository.named(request.model)  # type: ignore[attr-defined]


def at_once(work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of work that does not wait for anything."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    raise RuntimeError("a forecast on the event loop has waited")


def first_value(headers: RawHeaders, wanted: bytes) -> bytes | None:
    """Return the value of the first header field of this name; None if there is none."""
    return next((value for name, value in headers if name == wanted), None)
