"""Every refusal that a client can get. `app/problems.py` turns them into HTTP.

    Problem
    ├── Malformed           400  the bytes are not HTTP, or could be read in two ways
    ├── InvalidRequest      422  the body does not match the contract
    ├── Diverged            422  the model has no finite answer
    ├── WorkTooLarge        422  one request exceeds the whole quota of its key
    ├── Unauthorized        401  the request has no key, or an unknown one
    ├── UnknownModel        404  no served model has this name
    ├── UnknownVersion      404  a version in the Open Inference Protocol's sense, other than the only one
    ├── RequestTimeout      408  the rest of a request did not arrive in time
    ├── ReloadRefused       409  an artifact that should be loaded cannot be served
    ├── BodyTooLarge        413  the body exceeds the limit
    ├── UnsupportedEncoding 415  the body has a compression that this service does not know
    ├── RateExceeded        429  the quota of the key is used up for now
    ├── HeadTooLarge        431  the head of a request, or the framing of its chunks, exceeds the limit
    ├── ClientGone          499  the client closed the connection; seen in metrics only
    ├── Failed              500  an unexpected error; only the log has its message
    ├── NotReady            503  the service is starting or stopping
    ├── Exhausted           503  memory, file descriptors or threads are used up
    ├── Overloaded          503  more work is waiting than can be done in time
    └── DeadlineExceeded    504  the forecast took too long

A refusal never repeats the client's input.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

from app.schemas import FieldError

REASONS: list[str] = []
"""The reason of every kind of problem."""


SOON = MappingProxyType({"Retry-After": "1"})
"""Headers of a refusal that may be retried after a second. Some kinds compute a longer time."""


class Problem(Exception):
    """A refusal. Its `detail` is written for the client."""

    status: int
    title: str
    reason: str
    """The label of this kind in metrics: the name of its class in snake case."""

    sample: ClassVar[tuple[Any, ...]] = ()
    """The arguments of the example in the OpenAPI document."""

    errors: Sequence[FieldError] | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __init_subclass__(cls) -> None:
        cls.reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
        REASONS.append(cls.reason)

    @classmethod
    def example(cls) -> Self:
        """A typical refusal of this kind, for the OpenAPI document."""
        return cls(*cls.sample)


class Malformed(Problem):
    NOT_HTTP = "This is not an HTTP request, or could be read in two ways (RFC 9112)."

    status = 400
    title = "Bad Request"
    sample = (NOT_HTTP,)


class InvalidRequest(Problem):
    status = 422
    title = "Unprocessable Content"
    sample = ((FieldError(pointer="/sequence/2", detail="input should be a valid number"),),)

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer or 'body'}: {error.detail}" for error in errors))
        self.errors = errors


class Diverged(Problem):
    NO_PREDICTION = "The model has no finite prediction for this sequence."

    status = 422
    title = "Unprocessable Content"
    sample = (NO_PREDICTION,)

    @classmethod
    def in_row(cls, row: int, steps: int) -> Self:
        """The rollout of one row of a batch has only so many finite steps."""
        return cls(f"The rollout of sequence {row} of the batch stops being finite after {steps} steps.")


class WorkTooLarge(Problem):
    status = 422
    title = "Unprocessable Content"
    sample = (1000,)

    def __init__(self, most: int) -> None:
        super().__init__(
            f"A request may use at most {most} steps of the network: "
            "one for each value of its sequence, and one for each value to generate."
        )


class Unauthorized(Problem):
    status = 401
    title = "Unauthorized"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})

    def __init__(self) -> None:
        super().__init__("A valid key is required, in the header Authorization: Bearer KEY.")


class BodyTooLarge(Problem):
    status = 413
    title = "Content Too Large"
    sample = (327_680,)

    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(f"A request body has at most {max_body_bytes} bytes.")


class UnknownModel(Problem):
    status = 404
    title = "Not Found"
    sample = (("sine",),)

    def __init__(self, names: Iterable[str]) -> None:
        """`names` are those of the served models."""
        super().__init__(f"Request for unknown model: the served models are {', '.join(map(repr, names))}.")


class UnknownVersion(Problem):
    status = 404
    title = "Not Found"
    sample = ("1",)

    def __init__(self, version: str) -> None:
        """`version` is the only one."""
        super().__init__(f"Request for unknown model version: the only version of each model is {version}.")


class ReloadRefused(Problem):
    status = 409
    title = "Conflict"
    sample = (("models/sine.pt: not a TorchScript file",),)

    def __init__(self, reasons: Iterable[str]) -> None:
        super().__init__(" ".join(f"Not reloaded, and the service goes on as before: {reason}" for reason in reasons))


class UnsupportedEncoding(Problem):
    status = 415
    title = "Unsupported Media Type"
    sample = (("gzip", "deflate"),)

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__(f"The content-encoding of a body must be one of {', '.join(known)}.")


class RequestTimeout(Problem):
    status = 408
    title = "Request Timeout"
    sample = (30,)

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"A whole request must arrive within {timeout_s:g} s.")


class RateExceeded(Problem):
    status = 429
    title = "Too Many Requests"
    headers: Mapping[str, str] = SOON
    sample = (1000, 10, 3)

    def __init__(self, steps: int, seconds: int, wait_s: float) -> None:
        """`wait_s` is the time in seconds until the quota has room for this request."""
        retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(
            f"A key may use {steps} steps of the network in {seconds} s. "
            f"There is room for this request in {retry_after_s} s."
        )
        self.headers = {"Retry-After": str(retry_after_s)}


class HeadTooLarge(Problem):
    status = 431
    title = "Request Header Fields Too Large"
    sample = (65_536,)

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The head of a request and the framing of its chunks have at most {max_bytes} bytes.")


class ClientGone(Problem):
    status = 499  # what nginx logs for it; HTTP has no name
    title = "Client Closed Request"

    def __init__(self) -> None:
        super().__init__("The client closed the connection before the answer was ready.")


class Failed(Problem):
    status = 500
    title = "Internal Server Error"

    def __init__(self) -> None:
        super().__init__("The service failed; its log says why.")


class NotReady(Problem):
    NO_MODEL = "The service is starting or stopping."
    DRAINING = "The service is stopping."

    status = 503
    title = "Service Unavailable"
    headers = SOON
    sample = (NO_MODEL,)


class Exhausted(Problem):
    status = 503
    title = "Service Unavailable"
    headers = SOON

    def __init__(self) -> None:
        super().__init__("The service has no memory, file descriptor or thread left for this request now.")


class Overloaded(Problem):
    status = 503
    title = "Service Unavailable"
    headers: Mapping[str, str] = SOON
    sample = (1,)

    def __init__(self, waiting_s: float) -> None:
        """`waiting_s` is the time in seconds that the waiting work takes."""
        retry_after_s = max(1, math.ceil(waiting_s))
        super().__init__(f"Too much work is waiting. This request could be admitted in {retry_after_s} s.")
        self.headers = {"Retry-After": str(retry_after_s)}


class DeadlineExceeded(Problem):
    status = 504
    title = "Gateway Timeout"
    sample = (30,)

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The forecast was not finished within {timeout_s:g} s, and was cancelled.")
