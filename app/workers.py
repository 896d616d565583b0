"""How many processes serve, what they share, and what looks after them."""

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from app.settings import Settings

METRICS_FOLDER, RATES_FOLDER = "SINE_METRICS_FOLDER", "SINE_RATES_FOLDER"
"""The environment variables that name the folders of the metrics, and of what each key has used of its limit. Not set:
the process is alone."""


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
def shared_folders() -> Iterator[None]:
    """New, empty folders for what all workers count, known to them by environment variables."""
    with tempfile.TemporaryDirectory(prefix="sine-", ignore_cleanup_errors=True) as parent:
        for variable in (METRICS_FOLDER, RATES_FOLDER):
            folder = Path(parent) / variable
            folder.mkdir()
            os.environ[variable] = str(folder)
        yield


class Supervisor(Multiprocess):
    """Uvicorn's: it replaces workers that die, and on SIGHUP each by one that has loaded the artifact anew.

    A new worker takes over when it is ready. Where it does not get ready, the old ones stay.
    """

    _LOADING_S = 60
    """For a new worker to load its model, on a busy machine."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        # At once, also in the middle of a reload, which uvicorn would finish first.
        signal.signal(signal.SIGTERM, lambda *_: self.should_exit.set())

    def handle_hup(self) -> None:
        """See `Multiprocess`. Uvicorn has one limit for both, a worker that gets ready and one that hangs."""
        hangs_s, self.config.timeout_worker_healthcheck = self.config.timeout_worker_healthcheck, self._LOADING_S
        try:
            super().handle_hup()
        finally:
            self.config.timeout_worker_healthcheck = hangs_s
