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
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

import uvicorn
from uvicorn.config import STARTUP_FAILURE

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
    that has just connected would wait for seconds behind a hundred others.
    """
    first = config.bind_socket()
    return [first, *(first.dup() for _ in range(_ACCEPTED - 1))]


class Server(uvicorn.Server):
    """Uvicorn's server, which accepts all pending connections before it closes the socket and they are reset."""

    _LAST_TURNS = 4

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for _ in range(self._LAST_TURNS):  # each accepts `_ACCEPTED`, and there may have been no turn for a while
            await asyncio.sleep(0)
        await super().shutdown(sockets)


def _run(config: uvicorn.Config, sockets: list[socket.socket], pings: Connection) -> None:
    """Serve in a process of its own, and answer each ping with whether the server has started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    config.configure_logging()
    server = Server(config)

    def answer_pings() -> None:
        with suppress(OSError, EOFError):  # the supervisor has died
            while True:
                pings.recv()
                pings.send(server.started)

    threading.Thread(target=answer_pings, daemon=True).start()
    with suppress(KeyboardInterrupt):  # Ctrl+C reaches all processes, and the supervisor ends this one
        server.run(sockets)


class Worker:
    """A process that serves."""

    _STARTING_S = 60  # in which a worker need not answer pings: on a busy machine it takes a while until it can
    _HANGS_S = 10  # without an answer to a ping, after which a worker hangs

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        """Start the process."""
        self._pings, theirs = multiprocessing.Pipe()
        self._started_s = time.monotonic()
        self.process = _processes.Process(target=_run, args=(config, sockets, theirs))
        resource_tracker.ensure_running()  # forking needs it, and starting it unblocks signals
        # The forkserver must outlive a signal to the whole process group: it reports when the workers have ended.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self.process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def is_healthy(self) -> bool:
        """Return whether the process lives, and answers if it has had the time to start. Takes seconds if it hangs."""
        if not self.process.is_alive():
            return False
        return time.monotonic() - self._started_s < self._STARTING_S or self._ping() is not None

    def is_serving(self) -> bool:
        """Return whether the process lives and its server has started. Takes seconds if it hangs."""
        return self.process.is_alive() and self._ping() is True

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal, if it lives."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End the process, if it has not ended, and wait for its end."""
        self.process.kill()
        self.process.join()
        self._pings.close()

    def _ping(self) -> bool | None:
        try:
            self._pings.send(None)
            return self._pings.recv() if self._pings.poll(self._HANGS_S) else None
        except (OSError, EOFError):
            return None


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

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, and return the status to end with: `STARTUP_FAILURE` if no worker can
        start."""
        log.info("Started the supervisor [%d] of %d workers", os.getpid(), self._config.workers)
        self._start_missing()
        failed = False
        while not (failed or self._stop.wait(self._INTERVAL_S)):
            if signal.SIGHUP in signal.sigpending():
                signal.sigwait({signal.SIGHUP})
                self._hangup.set()
            if self._hangup.is_set():
                self._hangup.clear()
                self._signal_all(signal.SIGHUP)
            failed = not all(self._keep(worker) for worker in [*self._workers])
            if not failed and not self._stop.is_set():
                self._start_missing()
        self._signal_all(signal.SIGTERM)
        for listener in self._sockets:  # a client that connects now is refused, and does not wait for the last worker
            listener.close()
        for worker in self._workers:
            worker.process.join()
        log.info("Stopped the supervisor [%d]", os.getpid())
        return STARTUP_FAILURE if failed else 0

    def _keep(self, worker: Worker) -> bool:
        """Drop a worker that has died or hangs. Return False if it could not start and no other worker serves.

        A worker that cannot start does not end the service if others serve. What was good when they started may have
        gone bad: the artifact's file, a folder, the memory that is left.
        """
        if worker.is_healthy():
            return True
        worker.kill()
        if self._stop.is_set():
            return True
        others = [other for other in self._workers if other is not worker]
        pid = worker.process.pid
        if worker.process.exitcode != STARTUP_FAILURE:
            log.error("Worker %s has died, and is replaced", pid)
        elif any(other.is_serving() for other in others):
            log.error("Worker %s could not start, and is tried again in %d s", pid, self._RETRY_S)
            self._not_before_s = time.monotonic() + self._RETRY_S
        else:
            log.error("Worker %s could not start, and no other serves", pid)
            return False
        self._workers = others
        return True

    def _start_missing(self) -> None:
        while len(self._workers) < self._config.workers:
            if self._workers and time.monotonic() < self._not_before_s:
                break
            self._workers.append(Worker(self._config, self._sockets))

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.signal(number)
