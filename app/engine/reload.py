"""Reloading: artifacts that have changed are loaded beside those in service, and take their place when they are good.

Each worker reloads for itself, on SIGHUP or POST /admin/reload, and answers requests meanwhile. The main process passes
a SIGHUP on to all of its workers.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.engine.loading import load_changes
from app.engine.serving import Serving
from app.settings import Settings
from app.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


class Reload:
    """Reloads the models of one worker. Reloads run one after the other."""

    def __init__(self, serving: Serving, settings: Settings, metrics: Metrics) -> None:
        self._serving = serving
        self._settings = settings
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[list[str]]] = set()

    async def run(self) -> list[str]:
        """Serve the artifacts that are on disk now. Returns a sentence for each one that is refused."""
        async with self._turn:
            before = self._serving.repository()
            # On a thread, so that requests are answered meanwhile. torch.jit.load holds the interpreter for 25 ms.
            after, refused = await asyncio.to_thread(load_changes, self._settings, self._metrics, before)
            self._serving.replace(before, after)
        for why in refused:
            log.error("Not reloaded, and what was served still is: %s", why)
        if after is before and not refused:
            log.info("Nothing to reload: every artifact is the one that is served")
        return refused

    def begin(self) -> None:
        """Start a reload in the background. Its result goes to the log."""
        if len(self._tasks) < 2:  # a reload that has not begun yet will find the newest files anyway
            task = asyncio.create_task(self.run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @contextmanager
    def on_hangup(self) -> Iterator[None]:
        """SIGHUP starts a reload while this context lasts. So does a blocked SIGHUP that came earlier."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.begin)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # there is nothing left to reload


def tell_others() -> None:
    """Make all other workers reload too."""
    if (supervisor := multiprocessing.parent_process()) is not None and supervisor.pid is not None:
        os.kill(supervisor.pid, signal.SIGHUP)
