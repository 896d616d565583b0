"""Wait for a condition that another process or task brings about."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: str, condition: Callable[[], T], seconds: float = 60, every_s: float = 0.02) -> T:
    """Wait until the condition is true, and return its value. The default limit allows for a very busy machine."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(every_s)
    return met


async def wait_for_async(what: str, condition: Callable[[], T], seconds: float = 60) -> T:
    """Wait in the same way while other tasks of the event loop go on."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)
    return met
