"""The models that a worker serves, and their reloads: good new artifacts replace those in service.

Each worker reloads for itself, on SIGHUP, on POST /admin/reload or when it sees that files have changed, and answers
requests meanwhile. The main process passes a SIGHUP on to all of its workers.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.engine.loading import files_on_disk, load
from app.engine.repository import Repository
from app.errors import NotReady
from app.settings import Settings
from app.telemetry.metrics import Metrics
from model.artifact import ArtifactError

log = logging.getLogger(__name__)


class Serving:
    """The repository in service, and whether the worker is about to stop. Nothing else of a worker changes.

    A reload replaces the repository as a whole. A request, a stream or a connection keeps the model that it began with.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.draining = False
        """True if the worker was told to stop. It still answers, but says that it is not ready."""

        self.current: Repository | None = None
        """The models in service; None before they are loaded, and after `stop`."""

        self._settings, self._metrics = settings, metrics
        self._on_disk: object = None  # before the last load
        self._turn = asyncio.Lock()
        self._reloads: set[asyncio.Task[list[str]]] = set()

    def repository(self) -> Repository:
        """Return the models in service. Raises NotReady if there are none."""
        if self.current is None:
            raise NotReady
        return self.current

    def start(self) -> None:
        """Load the models and begin to serve, if that is not done yet. `load` has the errors."""
        if self.current is not None:
            return
        self._metrics.started.add()
        self._metrics.alive.set(1)
        self._on_disk = files_on_disk(self._settings)
        self._put(load(self._settings, self._metrics))
        self._metrics.ready.set(1)

    def drain(self) -> None:
        """Say from now on that the worker is not ready."""
        self.draining = True
        self._metrics.ready.set(0)

    def stop(self) -> None:
        """Serve nothing any more, and wait for the models' threads."""
        self.drain()
        repository, self.current = self.current, None
        for served in repository or ():
            served.forecaster.close()

    async def reload(self) -> list[str]:
        """Serve the artifacts that are on disk now. Returns a sentence for each one that is refused."""
        refused: list[str] = []
        async with self._turn:
            before = self.repository()
            try:
                self._on_disk = await asyncio.to_thread(files_on_disk, self._settings)
                # On a thread, so that requests are answered meanwhile. torch.jit.load holds the interpreter for 25 ms.
                after = await asyncio.to_thread(load, self._settings, self._metrics, before, refused)
                if [*after] != [*before] and self.current is before:  # it has not stopped in the meantime
                    self._put(after)
            except ArtifactError as error:  # nothing can be replaced then
                refused.append(str(error))
        for why in refused:
            log.error("Not reloaded, and what was served still is: %s", why)
        if self.current is before and not refused:
            log.info("Nothing to reload: every artifact is the one that is served")
        return refused

    @contextmanager
    def on_hangup(self) -> Iterator[None]:
        """SIGHUP starts a reload while this context lasts. So does a blocked SIGHUP that came earlier."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._begin_reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # there is nothing left to reload

    @contextmanager
    def on_change(self) -> Iterator[None]:
        """A change of the artifacts' files starts a reload while this context lasts, where the settings say so."""
        interval_s = self._settings.reload_interval_s
        if interval_s is None:
            yield
            return
        watching = asyncio.create_task(self._watch(interval_s))
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self, interval_s: float) -> None:
        """Look at the files every `interval_s`. A file that is refused is not tried again before its next change."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                if await asyncio.to_thread(files_on_disk, self._settings) != self._on_disk:
                    await self.reload()
            except Exception:  # a lack of threads or memory, which may end
                log.exception("Not reloaded, and what was served still is")

    def _begin_reload(self) -> None:
        """Start a reload in the background. Its result goes to the log."""
        if len(self._reloads) < 2:  # a reload that has not begun yet will find the newest files anyway
            task = asyncio.create_task(self.reload())
            self._reloads.add(task)
            task.add_done_callback(self._reloads.discard)

    def _put(self, after: Repository) -> None:
        before, self.current = self.current or (), after
        labels = {"name", "version", "digest", "runtime", "device"}
        self._metrics.models.labels = [served.info.model_dump(include=labels) for served in after]
        for served in after:
            if served not in before:
                info = served.info
                what = (info.name, info.version, info.digest[:12], info.runtime, info.device, info.runtime_reason)
                log.info("Serving %s %s (%s) with the %s runtime on %s: %s", *what)
        for served in before:
            if served not in after:
                log.info("No longer serving %s %s (%s)", served.info.name, served.info.version, served.info.digest[:12])


def tell_others() -> None:
    """Make all other workers reload too."""
    if (supervisor := multiprocessing.parent_process()) is not None and supervisor.pid is not None:
        os.kill(supervisor.pid, signal.SIGHUP)
