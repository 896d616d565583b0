"""Every refusal that a client can get. `app/problems.py` turns them into HTTP.

    Problem
    ├── Malformed           400  it is not HTTP, or could be read in two ways
    ├── InvalidRequest      422  the body is not what the contract says
    ├── Diverged            422  the model has no finite answer to it
    ├── WorkTooLarge        422  it is more work than any request with such a key may be
    ├── Unauthorized        401  it has no key, or a wrong one
    ├── UnknownModel        404  none of the models that are served
    ├── UnknownVersion      404  another version in the sense of the Open Inference Protocol than the only one
    ├── RequestTimeout      408  the rest of a request did not come
    ├── ReloadRefused       409  an artifact that was to be loaded cannot be served
    ├── BodyTooLarge        413
    ├── UnsupportedEncoding 415  the body is compressed in a way that nobody here can undo
    ├── RateExceeded        429  its key has had as much work done as it may, for now
    ├── HeadTooLarge        431  the head of a request, or of a chunk, has no end
    ├── ClientGone          499  nobody waits for the answer any more; seen in metrics only
    ├── Failed              500  an error that nobody expected; its message goes to the log alone
    ├── NotReady            503  the service is starting or stopping
    ├── Exhausted           503  there is no memory, descriptor or thread left for it
    ├── Overloaded          503  more work is waiting than can be done in time
    └── DeadlineExceeded    504  it was not done in time

Nothing that a client sent is ever repeated to it.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from app.schemas import FieldError

REASONS: list[str] = []
"""The reason of every kind of problem."""


SOON = MappingProxyType({"Retry-After": "1"})
"""Headers of what may be asked for again, in a second or in as many as the refusal says."""


class Problem(Exception):
    """A refusal. `detail` is written for the client."""

    status: int
    title: str
    reason: str
    """What metrics count it as: the name of its class, in their style."""

    errors: Sequence[FieldError] | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __init_subclass__(cls) -> None:
        cls.reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
        REASONS.append(cls.reason)


class Malformed(Problem):
    status = 400
    title = "Bad Request"


class InvalidRequest(Problem):
    status = 422
    title = "Unprocessable Content"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer or 'body'}: {error.detail}" for error in errors))
        self.errors = errors


class Diverged(Problem):
    status = 422
    title = "Unprocessable Content"


class WorkTooLarge(Problem):
    status = 422
    title = "Unprocessable Content"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"A request may take at most {most} steps of the network: the values of its sequence, and those asked for."
        )


class Unauthorized(Problem):
    status = 401
    title = "Unauthorized"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})

    def __init__(self) -> None:
        super().__init__("A key that is known here is needed, as the header Authorization: Bearer KEY.")


class BodyTooLarge(Problem):
    status = 413
    title = "Content Too Large"

    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(f"A request body has at most {max_body_bytes} bytes.")


class UnknownModel(Problem):
    status = 404
    title = "Not Found"

    def __init__(self, names: Iterable[str]) -> None:
        """What is served."""
        super().__init__(f"Request for unknown model: what is served is {', '.join(map(repr, names))}.")


class UnknownVersion(Problem):
    status = 404
    title = "Not Found"

    def __init__(self, version: str) -> None:
        """The one that there is."""
        super().__init__(f"Request for unknown model version: every model has version {version} alone.")


class ReloadRefused(Problem):
    status = 409
    title = "Conflict"

    def __init__(self, reasons: Iterable[str]) -> None:
        super().__init__(" ".join(f"Not reloaded, and what was served still is: {reason}" for reason in reasons))


class UnsupportedEncoding(Problem):
    status = 415
    title = "Unsupported Media Type"

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__(f"The content-encoding of a body is one of {', '.join(known)}.")


class RequestTimeout(Problem):
    status = 408
    title = "Request Timeout"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"A request has to be there as a whole within {timeout_s:g} s.")


class RateExceeded(Problem):
    status = 429
    title = "Too Many Requests"
    headers: Mapping[str, str] = SOON

    def __init__(self, steps: int, seconds: int, wait_s: float) -> None:
        """`wait_s` is how long it takes until there is room for this request."""
        retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(
            f"A key may ask for {steps} steps of the network in {seconds} s. "
            f"There is room for this request in {retry_after_s} s."
        )
        self.headers = {"Retry-After": str(retry_after_s)}


class HeadTooLarge(Problem):
    status = 431
    title = "Request Header Fields Too Large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"A request has at most {max_bytes} bytes in its head and around its chunks.")


class ClientGone(Problem):
    status = 499  # what nginx logs for it; HTTP has no name
    title = "Client Closed Request"

    def __init__(self) -> None:
        super().__init__("The client closed the connection before the answer was there.")


class Failed(Problem):
    status = 500
    title = "Internal Server Error"

    def __init__(self) -> None:
        super().__init__("The service failed; its log says why.")


class NotReady(Problem):
    status = 503
    title = "Service Unavailable"
    headers = SOON


class Exhausted(Problem):
    status = 503
    title = "Service Unavailable"
    headers = SOON

    def __init__(self) -> None:
        super().__init__("The service has no memory, descriptor or thread left for this now.")


class Overloaded(Problem):
    status = 503
    title = "Service Unavailable"
    headers: Mapping[str, str] = SOON

    def __init__(self, waiting_s: float) -> None:
        """`waiting_s` is how long the work takes that is waiting."""
        retry_after_s = max(1, math.ceil(waiting_s))
        super().__init__(f"Too much work is waiting. This request could be admitted in {retry_after_s} s.")
        self.headers = {"Retry-After": str(retry_after_s)}


class DeadlineExceeded(Problem):
    status = 504
    title = "Gateway Timeout"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The forecast was not done in {timeout_s:g} s, and was given up.")
