"""The end of a worker: `/readyz` says so first, and the server closes after a delay in which load balancers can look.

A worker ends when it is told to, by SIGTERM. It also ends when its supervisor has died, because then nobody else would
tell it to.
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
def shutdown(on_begin: Callable[[], None], delay_s: float) -> Iterator[None]:
    """In the block, the begin of a shutdown calls `on_begin`, and uvicorn's own handler of SIGTERM `delay_s` later.

    Nothing changes where SIGTERM has no handler, or outside of the main thread: the server is not uvicorn then.
    """
    close = signal.getsignal(signal.SIGTERM)
    if not callable(close) or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    supervisor = multiprocessing.parent_process()

    def begin() -> None:
        on_begin()
        loop.call_later(delay_s, close, signal.SIGTERM, None)

    def orphaned() -> None:
        log.error("The supervisor has died: this worker finishes what it has begun, and ends")
        stop_watching()
        begin()

    def stop_watching() -> None:
        if supervisor is not None:
            loop.remove_reader(supervisor.sentinel)

    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(begin))
    if supervisor is not None:
        loop.add_reader(supervisor.sentinel, orphaned)  # a pipe that the system closes
    try:
        yield
    finally:
        stop_watching()
        signal.signal(signal.SIGTERM, close)
