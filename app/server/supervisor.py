"""The main process of several workers, and their number."""

import logging
import os
import signal
import socket
import threading
import time
from pathlib import Path

import uvicorn

from app.cpus import usable_cpus
from app.server.startup import CannotStart
from app.server.workers import Worker, announce
from app.settings import Settings

log = logging.getLogger(__name__)


def worker_count(settings: Settings) -> int:
    """Return the number of processes to start: the setting, or 1 on CUDA and one for each usable CPU otherwise.

    One process uses a CUDA device best, because it batches what arrives for it.
    """
    if settings.workers is not None:
        return settings.workers
    return 1 if settings.device == "cuda" or (settings.device == "auto" and _cuda_is_available()) else usable_cpus()


def _cuda_is_available() -> bool:
    # Importing torch takes a second and 200 MB, which the supervisor saves where there is no device at all.
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


class Supervisor:
    """The main process of several workers. It replaces those that die, and passes SIGHUP on to all of them.

    SIGHUP is blocked in the main thread, and so it is in a worker that starts. A SIGHUP that comes while the worker
    loads its model waits until the worker can handle it (`app/engine/reload.py`). So the supervisor asks whether the
    signal is pending. It has a handler too, because threads of libraries do not block the signal.
    """

    _INTERVAL_S = 0.5  # between two looks at the workers
    _RETRY_S = 10  # after which a worker that could not start is started again

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        self._config = config
        self._listener = listener
        self._workers: list[Worker] = []
        self._not_before_s = 0.0
        self._stop, self._hangup = threading.Event(), threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, lambda *_: self._hangup.set())
        for number in (signal.SIGQUIT, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)  # not SIG_IGN, which the workers would inherit

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises CannotStart if no worker serves, and one could not start."""
        try:
            self._start_missing()
            self._watch()
        finally:
            self._signal_all(signal.SIGTERM)
            self._listener.close()  # a client that connects now is refused, and waits for no worker's end
            for worker in self._workers:
                worker.process.join()
        log.info("Stopped the supervisor [%d]", os.getpid())

    def _watch(self) -> None:
        """Look at the workers every `_INTERVAL_S` until the service is told to stop."""
        is_announced = False
        while not self._stop.wait(self._INTERVAL_S):
            if signal.SIGHUP in signal.sigpending():
                signal.sigwait({signal.SIGHUP})
                self._hangup.set()
            if self._hangup.is_set():
                self._hangup.clear()
                self._signal_all(signal.SIGHUP)
            for worker in [*self._workers]:
                self._keep(worker)
            if not is_announced and self._workers and all(worker.has_started for worker in self._workers):
                is_announced = True
                log.info("Started the supervisor [%d] of %d workers", os.getpid(), self._config.workers)
                announce(self._listener)
            if not self._stop.is_set():
                self._start_missing()

    def _keep(self, worker: Worker) -> None:
        """Drop a worker that has died or hangs. Raises CannotStart if it could not start and no other worker serves.

        A worker that cannot start does not end the service if others serve. What was good when they started may have
        gone bad: the artifact's file, a folder, the memory that is left. A worker that is killed during its start gets
        another attempt while others start.
        """
        if worker.is_healthy():
            return
        worker.kill()
        if self._stop.is_set():
            return
        self._workers = [other for other in self._workers if other is not worker]
        pid, why = worker.process.pid, worker.failure or f"it ended with status {worker.process.exitcode}"
        if worker.has_started:
            log.error("Worker %s has died, and is replaced", pid)
        elif any(other.has_started or worker.failure is None for other in self._workers):
            self._retry_later(f"Worker {pid}", why)
        else:
            raise CannotStart(why)

    def _start_missing(self) -> None:
        while len(self._workers) < self._config.workers:
            if self._workers and time.monotonic() < self._not_before_s:
                break
            try:
                self._workers.append(Worker(self._config, self._listener))
            except (OSError, EOFError) as error:
                if not self._workers:
                    raise CannotStart(f"the system starts no process: {error}") from error
                self._retry_later("A worker", str(error))

    def _retry_later(self, worker: str, why: str) -> None:
        log.error("%s could not start, and is tried again in %d s: %s", worker, self._RETRY_S, why)
        self._not_before_s = time.monotonic() + self._RETRY_S

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.signal(number)
