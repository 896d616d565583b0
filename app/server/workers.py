"""How many processes serve, and what looks after them."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from multiprocessing import resource_tracker
from pathlib import Path
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn._subprocess import subprocess_started
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from app.settings import Settings

log = logging.getLogger(__name__)

_ACCEPTED = 16
"""Connections that a worker takes in a turn: about a millisecond of work."""


def worker_count(settings: Settings) -> int:
    """The processes to start: what was asked for, or 1 on CUDA and one for each usable CPU otherwise.

    A CUDA device is shared best by one process, which batches what arrives for it.
    """
    if settings.workers is not None:
        return settings.workers
    return 1 if settings.device == "cuda" or (settings.device == "auto" and _cuda_is_available()) else usable_cpus()


def usable_cpus(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The CPUs that this process may use: its affinity, or its container's quota where that is less; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit_us, period_us = quota.read_text().split()
        return max(1, min(allowed, int(limit_us) // int(period_us)))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return allowed


def _cuda_is_available() -> bool:
    # torch takes a second and 200 MB, which the supervising process can do without where there is no device at all.
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


def listeners(config: uvicorn.Config) -> list[socket.socket]:
    """The socket that the service listens on, as often as each worker may accept in a turn of its event loop.

    uvloop accepts one connection a turn from each. Under load a turn takes tens of milliseconds, and who has just
    connected would wait for seconds behind a hundred others.
    """
    first = config.bind_socket()
    return [first, *(first.dup() for _ in range(_ACCEPTED - 1))]


class Server(uvicorn.Server):
    """Uvicorn's, which takes all who have connected before it closes the socket: the system would reset them."""

    _LAST_TURNS = 4

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server.shutdown`."""
        for _ in range(self._LAST_TURNS):  # each takes `_ACCEPTED`, and there may have been none for a while
            await asyncio.sleep(0)
        await super().shutdown(sockets)


_forked = multiprocessing.get_context("forkserver") if sys.platform == "linux" else multiprocessing.get_context("spawn")
"""What macOS brings does not bear to be forked once it is loaded: there, each worker imports for itself."""
_forked.set_forkserver_preload(["app.main", "model.runtime.kernel"])


class Worker(Process):
    """Uvicorn's, with our `Server`, forked from a process that has imported torch, Numba and the application.

    A worker that has died is replaced without the seconds that this takes, and all of them share those pages.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        run = {"config": config, "target": self.target, "sockets": sockets, "stdin_fileno": None}
        self.process = _forked.Process(target=subprocess_started, kwargs=run)  # type: ignore[assignment]

    def start(self) -> None:
        """See `Process`."""
        resource_tracker.ensure_running()  # which forking needs; to start it unblocks signals
        # Where all processes are told to stop at once, that which forks is not: it says when the others have ended.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        super().start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """See `Process`. Here it runs in the process that has been forked."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        super().target(sockets)

    @property
    def server(self) -> uvicorn.Server:
        """That of the process that this was started as."""
        if self._server is None:
            self._server = Server(config=self.config)
        return self._server


class Supervisor(Multiprocess):
    """Uvicorn's: it replaces workers that die, and passes a SIGHUP on to all of them: they reload
    (`app/engine/reload.py`).

    SIGHUP is blocked in the main process, and so it is in a worker that starts: one that comes while the worker still
    loads waits until it can be handled, and does not end it. Here it is looked for, where others have a handler.
    """

    _STARTING_S = 60
    """In which only its death counts: on a busy machine it takes seconds until a worker can say that it lives."""

    _HANGS_S = 10
    """Without a sign of life."""

    _AGAIN_S = 10
    """Until a worker that could not start is tried again."""

    _not_before_s = 0.0
    """When a worker that is missing may be tried again, on the monotonic clock."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._seen_s = WeakKeyDictionary[Process, float]()
        """When each worker was first looked at."""
        # At once, not when uvicorn looks the next time.
        signal.signal(signal.SIGTERM, lambda *_: self.should_exit.set())

    def init_processes(self) -> None:
        """See `Multiprocess`."""
        self.keep_subprocess_alive()

    def keep_subprocess_alive(self) -> None:
        """See `Multiprocess`, which ends the service where a worker cannot start. Here it goes on if others serve.

        What was good when they started may have gone bad: the artifact's file, a folder, the memory that is left.
        """
        for worker in [*self.processes]:
            seen_s = self._seen_s.setdefault(worker, time.monotonic())
            is_starting = time.monotonic() - seen_s < self._STARTING_S
            if worker.process.is_alive() if is_starting else worker.is_alive(self._HANGS_S):
                continue
            worker.kill()  # it hangs, where it has not ended
            worker.join()
            if self.should_exit.is_set():
                return
            others = [other for other in self.processes if other is not worker]
            if worker.exitcode != STARTUP_FAILURE:
                log.error("Worker %s has died, and is replaced", worker.pid)
            elif any(other.process.is_alive() and other.is_ready(self._HANGS_S) for other in others):
                log.error("Worker %s could not start, and is tried again in %d s", worker.pid, self._AGAIN_S)
                self._not_before_s = time.monotonic() + self._AGAIN_S
            else:
                log.error("Worker %s could not start, and no other serves", worker.pid)
                self.should_exit.set()
                return
            self.processes = others
        while len(self.processes) < self.processes_num:
            if self.processes and time.monotonic() < self._not_before_s:
                break
            self.processes.append(Worker(self.config, self.sockets))
            self.processes[-1].start()

    def terminate_all(self) -> None:
        """See `Multiprocess`. Who comes now is refused; it would be kept waiting as long as one process listens."""
        super().terminate_all()
        for listener in self.sockets:
            listener.close()

    def handle_signals(self) -> None:
        """See `Multiprocess`."""
        super().handle_signals()
        if signal.SIGHUP in signal.sigpending():
            signal.sigwait({signal.SIGHUP})
            self.handle_hup()

    def handle_hup(self) -> None:
        """Pass it on."""
        for worker in self.processes:
            if worker.pid is not None and worker.process.is_alive():
                os.kill(worker.pid, signal.SIGHUP)
