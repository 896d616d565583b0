"""How many processes serve, what they share, and what looks after them."""

import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from app.settings import Settings

log = logging.getLogger(__name__)

METRICS_FOLDER = "SINE_METRICS_FOLDER"
"""The environment variable that names the folder of the metrics. Not set: the process is alone."""


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


@contextmanager
def shared_metrics() -> Iterator[None]:
    """A new, empty folder for the metrics of all workers, known to them by an environment variable."""
    with tempfile.TemporaryDirectory(prefix="sine-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[METRICS_FOLDER] = folder
        yield


class Supervisor(Multiprocess):
    """Uvicorn's: it replaces workers that die, and on SIGHUP each by one that has loaded the artifact anew.

    A new worker takes over when it is ready. Where it does not get ready, the old ones stay.
    """

    _LOADING_S = 60
    """For a new worker to load its model, on a busy machine."""

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
        # At once, also in the middle of a reload, which uvicorn would finish first.
        signal.signal(signal.SIGTERM, lambda *_: self.should_exit.set())

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
            elif any(other.is_ready(self._HANGS_S) for other in others):
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
            self.processes.append(Process(self.config, self.sockets))
            self.processes[-1].start()

    def terminate_all(self) -> None:
        """See `Multiprocess`. Who comes now is refused; it would be kept waiting as long as one process listens."""
        super().terminate_all()
        for listener in self.sockets:
            listener.close()

    def handle_hup(self) -> None:
        """See `Multiprocess`. Uvicorn has one limit for both, a worker that gets ready and one that hangs."""
        hangs_s, self.config.timeout_worker_healthcheck = self.config.timeout_worker_healthcheck, self._LOADING_S
        try:
            super().handle_hup()
        finally:
            self.config.timeout_worker_healthcheck = hangs_s
