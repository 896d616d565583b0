"""How a worker leaves: `/readyz` says so first, and uvicorn closes after a delay, in which load balancers can look.

It leaves when it is told to, by SIGTERM, and when its supervisor has died, because then nobody else would tell it.
"""

import asyncio
import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def shutdown(told: Callable[[], None], delay_s: float) -> Iterator[None]:
    """In the block, call `told` when the process has to leave, and have uvicorn close `delay_s` later.

    Where nobody has a handler for SIGTERM, or outside of the main thread, nothing is changed: it is not uvicorn then.
    """
    close = signal.getsignal(signal.SIGTERM)
    if not callable(close) or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    supervisor = multiprocessing.parent_process()

    def leave() -> None:
        told()
        loop.call_later(delay_s, close, signal.SIGTERM, None)

    def orphaned() -> None:
        log.error("The supervisor has died: this worker finishes what it has begun, and ends")
        stop_watching()
        leave()

    def stop_watching() -> None:
        if supervisor is not None:
            loop.remove_reader(supervisor.sentinel)

    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(leave))
    if supervisor is not None:
        loop.add_reader(supervisor.sentinel, orphaned)  # a pipe, which the system closes
    try:
        yield
    finally:
        stop_watching()
        signal.signal(signal.SIGTERM, close)
