"""Waiting for what another process does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: str, condition: Callable[[], T], seconds: float = 60) -> T:
    """Wait until the condition is true, and return what it then is. The limit is for a machine that is very busy."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return met
