"""The processes that serve, and the supervisor that starts, watches and replaces them."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app.server.startup import CannotStart, address_to_open, bind, cannot_listen
from app.settings import Settings

log = logging.getLogger(__name__)

_ACCEPTED = 16
"""A worker accepts so many connections in a turn of its event loop: about a millisecond of work."""

# Forks of a process that has imported everything: docs/decisions/forkserver.md. Apple's libraries are not fork-safe.
_forked = sys.platform == "linux"
_processes = multiprocessing.get_context("forkserver") if _forked else multiprocessing.get_context("spawn")
_processes.set_forkserver_preload(["app.main", "model.runtime.kernel"])


def worker_count(settings: Settings) -> int:
    """Return the number of processes to start: the setting, or 1 on CUDA and one for each usable CPU otherwise.

    One process uses a CUDA device best, because it batches what arrives for it.
    """
    if settings.workers is not None:
        return settings.workers
    return 1 if settings.device == "cuda" or (settings.device == "auto" and _cuda_is_available()) else usable_cpus()


def usable_cpus(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the CPUs that this process may use, at least 1: its affinity, or its container's quota if that is less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit_us, period_us = quota.read_text().split()
        return max(1, min(allowed, int(limit_us) // int(period_us)))
    except (OSError, ValueError):  # no such file, or "max" for no quota
        return allowed


def _cuda_is_available() -> bool:
    # Importing torch takes a second and 200 MB, which the supervisor saves where there is no device at all.
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


def listeners(config: uvicorn.Config) -> list[socket.socket]:
    """Return the listening socket, once for each connection that a worker may accept in a turn of its event loop.

    uvloop accepts one connection a turn from each listener. Under load a turn takes tens of milliseconds, and a client
    that has just connected would wait for seconds behind a hundred others. Raises CannotStart.
    """
    first = bind(config.host, config.port)
    return [first, *(first.dup() for _ in range(_ACCEPTED - 1))]


def announce(listener: socket.socket) -> None:
    """Log the address to open, as the last line of a start."""
    log.info("The service is ready and running on %s", address_to_open(listener))


class Server(uvicorn.Server):
    """Uvicorn's server, which accepts all pending connections before it closes the socket and they are reset."""

    _LAST_TURNS = 4

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], object] = lambda: None) -> None:
        """`on_started` is called once connections are accepted."""
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:  # another program has bound the same address, and listens first
            await self.lifespan.shutdown()
            raise cannot_listen(self.config.host, self.config.port, error) from error
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for _ in range(self._LAST_TURNS):  # each accepts `_ACCEPTED`, and there may have been no turn for a while
            await asyncio.sleep(0)
        await super().shutdown(sockets)


def serve(config: uvicorn.Config, sockets: list[socket.socket], on_started: Callable[[], object]) -> None:
    """Load the models and serve in this process until a signal ends it. Raises CannotStart."""
    server = Server(config, on_started)
    try:
        config.load()
    except CannotStart:
        raise
    except Exception as error:  # a fault of this program, or a lack of memory or of threads
        log.debug("The start failed", exc_info=True)
        raise CannotStart.because(error, f"{type(error).__name__}: ") from error
    server.run(sockets)


def _run(config: uvicorn.Config, sockets: list[socket.socket], pings: Connection, news: Connection) -> None:
    """Serve in a process of its own, answer each ping, and tell the supervisor whether the start has succeeded."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    config.configure_logging()

    def answer_pings() -> None:
        with suppress(OSError, EOFError):  # the supervisor has died
            while True:
                pings.send(pings.recv())

    threading.Thread(target=answer_pings, daemon=True).start()
    try:
        with suppress(KeyboardInterrupt):  # Ctrl+C reaches all processes, and the supervisor ends this one
            serve(config, sockets, partial(news.send, None))
    except CannotStart as error:
        with suppress(OSError):
            news.send(str(error))
        sys.exit(STARTUP_FAILURE)


class Worker:
    """A process that serves."""

    _STARTING_S = 60  # in which a worker need not answer pings: on a busy machine it takes a while until it can
    _HANGS_S = 10  # without an answer to a ping, after which a worker hangs

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        """Start the process. Raises OSError or EOFError if the system starts none."""
        self.has_started = False
        """True once the process has served. It may have ended since."""

        self.failure: str | None = None
        """The reason why the process could not start, as far as it has said one."""

        self._pings, pings = multiprocessing.Pipe()
        self._news, news = multiprocessing.Pipe(duplex=False)
        self._started_s = time.monotonic()
        self.process = _processes.Process(target=_run, args=(config, sockets, pings, news))
        resource_tracker.ensure_running()  # forking needs it, and starting it unblocks signals
        # The forkserver must outlive a signal to the whole process group: it reports when the workers have ended.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            pings.close()
            news.close()

    def is_healthy(self) -> bool:
        """Return whether the process lives, and answers if it has had the time to start. Takes seconds if it hangs."""
        self._read_news()
        if not self.process.is_alive():
            return False
        return time.monotonic() - self._started_s < self._STARTING_S or self._answers()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal, if it lives."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End the process, if it has not ended, and wait for its end."""
        self.process.kill()
        self.process.join()
        self._read_news()
        self._pings.close()
        self._news.close()

    def _read_news(self) -> None:
        """Take the message that the process sends once: None if it serves, or else the reason why it cannot."""
        with suppress(OSError, EOFError):
            if not self.has_started and self._news.poll():
                self.failure = self._news.recv()
                self.has_started = self.failure is None

    def _answers(self) -> bool:
        with suppress(OSError, EOFError):
            self._pings.send(None)
            if self._pings.poll(self._HANGS_S):
                self._pings.recv()
                return True
        return False


class Supervisor:
    """The main process of several workers. It replaces those that die, and passes SIGHUP on to all of them.

    SIGHUP is blocked in the main thread, and so it is in a worker that starts. A SIGHUP that comes while the worker
    loads its model waits until the worker can handle it (`app/engine/reload.py`). So the supervisor asks whether the
    signal is pending. It has a handler too, because threads of libraries do not block the signal.
    """

    _INTERVAL_S = 0.5  # between two looks at the workers
    _RETRY_S = 10  # after which a worker that could not start is started again

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        self._config = config
        self._sockets = sockets
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
            for listener in self._sockets:  # a client that connects now is refused, and waits for no worker's end
                listener.close()
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
                announce(self._sockets[0])
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
                self._workers.append(Worker(self._config, self._sockets))
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
