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
    ├── UnsupportedEncoding 415  the body has a compression that its path does not know
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
from typing import Any, Self

from sine_client.messages import FieldError

REASONS: list[str] = []
"""The reason of every kind of problem."""

SOON = MappingProxyType({"Retry-After": "1"})
"""Headers of a refusal that may be retried after a second. Some kinds compute a longer time."""


class Problem(Exception):
    """A refusal. Each kind is a class with a status, a title and, for `example`, the arguments of a typical refusal."""

    status: int
    title: str
    reason: str
    """The label of this kind in metrics: the name of its class in snake case."""

    detail: str
    """A sentence for the client. A class has one if it has the same sentence for every request."""

    errors: Sequence[FieldError] | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    _sample: tuple[Any, ...]

    def __init__(self, detail: str | None = None) -> None:
        self.detail = self.detail if detail is None else detail
        super().__init__(self.detail)

    def __init_subclass__(cls, status: int, title: str, sample: tuple[Any, ...] = ()) -> None:
        cls.status, cls.title, cls._sample = status, title, sample
        cls.reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
        REASONS.append(cls.reason)

    @classmethod
    def example(cls) -> Self:
        """Return a typical refusal of this kind, for the OpenAPI document."""
        return cls(*cls._sample)


class Malformed(Problem, status=400, title="Bad Request"):
    detail = "This is not an HTTP request, or could be read in two ways (RFC 9112)."


_ERROR = FieldError(pointer="/sequence/2", detail="input should be a valid number")


class InvalidRequest(Problem, status=422, title="Unprocessable Content", sample=([_ERROR],)):
    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer or 'body'}: {error.detail}" for error in errors))
        self.errors = errors


class Diverged(Problem, status=422, title="Unprocessable Content"):
    detail = "The model has no finite prediction for this sequence."

    @classmethod
    def in_row(cls, row: int, steps: int) -> Self:
        """Return the refusal for a batch in which the rollout of one row has only `steps` finite values."""
        return cls(f"The rollout of sequence {row} of the batch stops being finite after {steps} steps.")


class WorkTooLarge(Problem, status=422, title="Unprocessable Content", sample=(1000,)):
    def __init__(self, most: int) -> None:
        super().__init__(
            f"A request may use at most {most} steps of the network: "
            "one for each value of its sequence, and one for each value to generate."
        )


class Unauthorized(Problem, status=401, title="Unauthorized"):
    detail = "A valid key is required, in the header Authorization: Bearer KEY."
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class BodyTooLarge(Problem, status=413, title="Content Too Large", sample=(327_680,)):
    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(f"A request body has at most {max_body_bytes} bytes.")


class UnknownModel(Problem, status=404, title="Not Found", sample=(["sine"],)):
    def __init__(self, names: Iterable[str]) -> None:
        """Create the refusal from the `names` of the served models."""
        super().__init__(f"Request for unknown model: the served models are {', '.join(map(repr, names))}.")


class UnknownVersion(Problem, status=404, title="Not Found", sample=("1",)):
    def __init__(self, version: str) -> None:
        """Create the refusal from the only `version` of each model."""
        super().__init__(f"Request for unknown model version: the only version of each model is {version}.")


class ReloadRefused(Problem, status=409, title="Conflict", sample=(["models/sine.pt: not a TorchScript file"],)):
    def __init__(self, reasons: Iterable[str]) -> None:
        super().__init__(" ".join(f"Not reloaded, and the service goes on as before: {reason}" for reason in reasons))


class UnsupportedEncoding(Problem, status=415, title="Unsupported Media Type", sample=([],)):
    def __init__(self, known: Iterable[str]) -> None:
        """Create the refusal from the codings that the path knows, beside identity."""
        codings = ", ".join(known)
        allowed = f"The content-encoding of a body must be one of {codings}."
        super().__init__(allowed if codings else "A body has no content-encoding here: send it uncompressed.")
        self.headers = {"Accept-Encoding": codings or "identity"}  # RFC 9110, 12.5.3


class RequestTimeout(Problem, status=408, title="Request Timeout", sample=(30,)):
    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"A whole request must arrive within {timeout_s:g} s.")


class RateExceeded(Problem, status=429, title="Too Many Requests", sample=(1000, 10, 3)):
    def __init__(self, steps: int, seconds: int, wait_s: float) -> None:
        """Create the refusal of a request for which the quota has room in `wait_s` seconds."""
        retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(
            f"A key may use {steps} steps of the network in {seconds} s. "
            f"There is room for this request in {retry_after_s} s."
        )
        self.headers = {"Retry-After": str(retry_after_s)}


class HeadTooLarge(Problem, status=431, title="Request Header Fields Too Large", sample=(65_536,)):
    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The head of a request and the framing of its chunks have at most {max_bytes} bytes.")


class ClientGone(Problem, status=499, title="Client Closed Request"):  # nginx logs this status; HTTP has no name for it
    detail = "The client closed the connection before the answer was ready."


class Failed(Problem, status=500, title="Internal Server Error"):
    detail = "The service failed; its log says why."


class NotReady(Problem, status=503, title="Service Unavailable"):
    detail = "The service is starting or stopping."
    DRAINING = "The service is stopping."
    headers = SOON


class Exhausted(Problem, status=503, title="Service Unavailable"):
    detail = "The service has no memory, file descriptor or thread left for this request now."
    headers = SOON


class Overloaded(Problem, status=503, title="Service Unavailable", sample=(1,)):
    def __init__(self, waiting_s: float) -> None:
        """Create the refusal of a request that waits for `waiting_s` seconds of other work."""
        retry_after_s = max(1, math.ceil(waiting_s))
        super().__init__(f"Too much work is waiting. This request could be admitted in {retry_after_s} s.")
        self.headers = {"Retry-After": str(retry_after_s)}


class DeadlineExceeded(Problem, status=504, title="Gateway Timeout", sample=(30,)):
    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The forecast was not finished within {timeout_s:g} s, and was cancelled.")
