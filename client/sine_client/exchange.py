"""Requests, answers, refusals and streams of the service, independent of the client that sends them."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Set
from contextlib import aclosing, suppress
from typing import TypedDict, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import BaseModel, ValidationError

from sine_client.connection import explained
from sine_client.messages import GenerateRequest, PredictRequest, ProblemDetails, StreamedValues, StreamEnd

Answer = TypeVar("Answer", bound=BaseModel)


class Options(TypedDict, total=False):
    """The options of every request besides its values; the fields of `PredictRequest`."""

    state: str | None
    return_state: bool
    level: list[int] | None
    season: int | None
    diagnostics: bool | None
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
    return _json(PredictRequest, sequence, options)


def generation(sequence: Iterable[float], steps: int, options: Options) -> bytes:
    return _json(GenerateRequest, sequence, {"steps": steps, **options})


def _json(kind: type[PredictRequest], sequence: object, fields: Mapping[str, object]) -> bytes:
    """Return the body of a request. Raises ValueError, pydantic's ValidationError, for what violates the contract."""
    plain = {name: _listed(value, _plain) if name == "level" else _plain(value) for name, value in fields.items()}
    values = sequence if isinstance(sequence, Set) else _listed(sequence, _float)  # a set has no order
    return (
        kind.model_validate({"sequence": values, **plain}, strict=True).model_dump_json(exclude_defaults=True).encode()
    )


def _listed(elements: object, convert: Callable[[object], object]) -> object:
    """Return the elements of an iterable, converted. What is no list stays as it is, for the contract to refuse."""
    text_or_pairs = isinstance(elements, str | bytes | bytearray | memoryview | Mapping)
    if text_or_pairs or not isinstance(elements, Iterable) or getattr(elements, "ndim", 1) == 0:
        return elements
    return [convert(element) for element in elements]


def _plain(value: object) -> object:
    """Return a scalar of NumPy or a tensor without dimensions as Python's own type, and everything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _float(value: object) -> object:
    """Return a number as a float. What is no number stays as it is, for the contract to refuse."""
    if type(value) is float:
        return value
    value = _plain(value)
    if getattr(value, "ndim", 0):  # pydantic would take the number out of an array that has just one
        return [value]
    if hasattr(value, "__float__") and not isinstance(value, bool):
        with suppress(ArithmeticError, ValueError):
            return float(value)
    return value


def read(kind: type[Answer], content: bytes | str) -> Answer:
    """Return an answer of the service. Raises httpx.DecodingError if it is of something else."""
    answer = None
    with suppress(ValidationError):
        # A later version of the service may send fields that this client does not know.
        answer = kind.model_validate_json(content, extra="ignore")
    if answer is None:
        raise httpx.DecodingError("the answer is not one of this service: something else listens at the address")
    return answer


def service_error(response: httpx.Response, note: str = "") -> ServiceError:
    """Return the error for an unsuccessful response whose body was read. A note on the way may say who has answered."""
    title = response.reason_phrase
    spare = ProblemDetails(title=title, status=response.status_code, detail=f"{response.status_code} {title}{note}")
    try:
        problem = read(ProblemDetails, response.content)
    except httpx.DecodingError:  # a proxy in front of the service has answered
        problem = spare
    seconds = response.headers.get("retry-after", "")
    return ServiceError(
        problem if problem.detail else spare, float(seconds) if seconds.isascii() and seconds.isdigit() else None
    )


class Rollout:
    """A rollout as it is computed, in parts. Use `async for` with the asynchronous client. It can be iterated once.

    Iterating raises ServiceError if the service cannot finish the rollout, and httpx.HTTPError if the connection ends
    too early.
    """

    def __init__(self, response: httpx.Response, note: str = "") -> None:
        self._events = EventSource(response)
        self._end: StreamEnd | None = None
        self._note = note

    def __iter__(self) -> Iterator[StreamedValues]:
        with explained(self._note):
            for event in self._events.iter_sse():
                yield from self._read(event)
            self._must_have_ended()

    async def __aiter__(self) -> AsyncIterator[StreamedValues]:
        with explained(self._note):
            async with aclosing(self._events.aiter_sse()) as events:
                async for event in events:
                    for part in self._read(event):
                        yield part
            self._must_have_ended()

    @property
    def end(self) -> StreamEnd:
        """The reason why the rollout ended, its warnings, and its state and fit if requested.

        Raises ValueError if parts are still unread.
        """
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
