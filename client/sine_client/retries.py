"""Decides whether and when a request is repeated. tenacity does the waiting, for both clients."""

import logging
import random
import time
from http import HTTPStatus
from numbers import Real
from typing import Any

import httpx
from tenacity import AttemptManager, RetryCallState, stop_before_delay

from sine_client.exchange import ServiceError

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
"""First and longest pause if the service does not say when to retry. Each pause is twice the previous one."""

_LATER = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)

_JITTER_S = 0.25
"""The longest random extra pause. It keeps clients that were refused together from returning together."""

log = logging.getLogger("sine_client")


def pause_s(error: BaseException | None, attempts: int) -> float | None:
    """Return the seconds after which to repeat a request; None for never. The last of `attempts` ended with `error`."""
    backoff_s = min(_FIRST_PAUSE_S * 2.0 ** (attempts - 1), _LONGEST_PAUSE_S)
    if isinstance(error, ServiceError) and error.status in _LATER:
        return error.retry_after_s or backoff_s
    if isinstance(error, httpx.NetworkError | httpx.ConnectTimeout | httpx.RemoteProtocolError):
        return backoff_s
    return None


def retries(patience_s: float) -> dict[str, Any]:
    """Return the arguments of tenacity's loops, for both clients. Raises ValueError for a wrong patience."""
    if isinstance(patience_s, bool) or not isinstance(patience_s, Real) or not patience_s >= 0:
        raise ValueError("patience_s is not a number of seconds, 0 or more")

    def pause(attempt: RetryCallState) -> float | None:
        return pause_s(attempt.outcome.exception() if attempt.outcome else None, attempt.attempt_number)

    def tell(attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        log.warning("%s (trying again in %.1f s)", str(error) or type(error).__name__, attempt.upcoming_sleep)

    return {
        "retry": lambda attempt: pause(attempt) is not None,
        "wait": lambda attempt: (pause(attempt) or 0.0) + random.uniform(0, _JITTER_S),  # noqa: S311 - no secret
        "stop": stop_before_delay(patience_s),
        "before_sleep": tell,
        "reraise": True,
    }


def begin(attempt: AttemptManager) -> None:
    """Count the patience from the first attempt: the time in which a request waits for its turn costs none."""
    if attempt.retry_state.attempt_number == 1:
        attempt.retry_state.start_time = time.monotonic()
