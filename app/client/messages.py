"""Requests, answers, refusals and streams of the service, independent of the client that sends them."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import Any, TypedDict, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import BaseModel, ValidationError

from app.schemas import GenerateRequest, PredictRequest, ProblemDetails, StreamedValues, StreamEnd

Answer = TypeVar("Answer", bound=BaseModel)


class Options(TypedDict, total=False):
    """The options of every request besides its values; the fields of `PredictRequest`."""

    state: str | None
    return_state: bool
    level: list[int] | None
    model: str | None
    timeout_s: float | None


class ServiceError(Exception):
    """The service refused the request."""

    def __init__(self, problem: ProblemDetails, retry_after_s: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        """The problem details; its `errors` name each invalid field."""

        self.status = problem.status
        self.retry_after_s = retry_after_s
        """Seconds after which the service expects to admit the request; None if it does not say."""


def headers(api_key: str | None) -> dict[str, str]:
    """Return the headers of every request."""
    json = {"content-type": "application/json"}
    return json if api_key is None else json | {"authorization": f"Bearer {api_key}"}


def prediction(sequence: Iterable[float], options: Options) -> bytes:
    return _json(PredictRequest, sequence, **options)


def generation(sequence: Iterable[float], steps: int, options: Options) -> bytes:
    return _json(GenerateRequest, sequence, steps=steps, **options)


def _json(kind: type[PredictRequest], sequence: Iterable[float], **fields: Any) -> bytes:
    floats = [float(value) for value in sequence]  # pydantic does not accept numpy.float32 and similar types
    return kind(sequence=floats, **fields).model_dump_json(exclude_defaults=True).encode()


def read(kind: type[Answer], content: bytes | str) -> Answer:
    # A later version of the service may send fields that this client does not know.
    return kind.model_validate_json(content, extra="ignore")


def service_error(response: httpx.Response) -> ServiceError:
    """Return the error for an unsuccessful response whose body was read."""
    try:
        problem = read(ProblemDetails, response.content)
    except ValidationError:  # a proxy in front of the service has answered
        title = response.reason_phrase
        problem = ProblemDetails(title=title, status=response.status_code, detail=f"{response.status_code} {title}")
    seconds = response.headers.get("retry-after", "")
    return ServiceError(problem, float(seconds) if seconds.isascii() and seconds.isdigit() else None)


class Rollout:
    """A rollout as it is computed, in parts. Use `async for` with the asynchronous client. It can be iterated once.

    Iterating raises ServiceError if the service cannot finish the rollout, and httpx.HTTPError if the connection ends
    too early.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._events = EventSource(response)
        self._end: StreamEnd | None = None

    def __iter__(self) -> Iterator[StreamedValues]:
        for event in self._events.iter_sse():
            yield from self._read(event)
        self._must_have_ended()

    async def __aiter__(self) -> AsyncIterator[StreamedValues]:
        async with aclosing(self._events.aiter_sse()) as events:
            async for event in events:
                for part in self._read(event):
                    yield part
        self._must_have_ended()

    @property
    def end(self) -> StreamEnd:
        """The reason why the rollout ended, and its state if requested. ValueError if parts are still unread."""
        if self._end is None:
            raise ValueError("the rollout has an end only when all of its parts were read")
        return self._end

    def _read(self, event: ServerSentEvent) -> Iterator[StreamedValues]:
        if event.event == "values":
            yield read(StreamedValues, event.data)
        elif event.event == "done":
            self._end = read(StreamEnd, event.data)
        elif event.event == "error":
            raise ServiceError(read(ProblemDetails, event.data))

    def _must_have_ended(self) -> None:
        if self._end is None:
            raise httpx.RemoteProtocolError("the stream broke off before the end of the rollout")
