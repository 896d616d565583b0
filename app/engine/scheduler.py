"""Which work runs next: iteration-level scheduling, with no torch and no I/O in it.

A rollout of any length is served a chunk at a time. Each iteration takes the jobs at the front of the queue as one
batch, moves each of them on by at most a chunk, and puts the unfinished ones back at the end. So whatever arrives joins
the next iteration, a short job never waits for a long one to end, and finished and cancelled jobs leave at once. A new
job goes before those that have had a turn, but not for ever, or many short ones would stop the long ones. The idea of
scheduling iterations, not requests, is that of Orca (Yu et al., OSDI 2022).
"""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.runtime.base import Runtime, State

NEW_ONLY = 3
"""Iterations in a row that may be of new jobs only, while others wait that have begun."""


@dataclass(eq=False)
class Job:
    """One forecast: encode a sequence, then roll out `steps` values."""

    sequence: Sequence[float]
    """May be empty where there is a state to go on from."""

    steps: int
    state: State | None = None
    """After what has been encoded and rolled out so far. At first, what to go on from; None for the start."""

    keeps_state: bool = False
    """Whether somebody asks for the state after the last step. Otherwise it may be a later one in the end."""

    queued_s: float = 0.0
    """When it was queued, on the clock of `time.perf_counter`."""

    observed: State | None = None
    """After the last value of the sequence; None as long as that is not encoded."""

    encoded: int = 0
    """Values of the sequence that the state has seen."""

    chunks: list[npt.NDArray[np.float64]] = field(default_factory=list)
    """The values of the rollout so far, in the caller's units."""

    produced: int = 0
    cancelled: bool = False
    diverged: bool = False
    """The rollout has stopped being finite, and ended before that."""

    @property
    def finished(self) -> bool:
        return self.diverged or self.produced == self.steps

    @property
    def untouched(self) -> bool:
        """Whether it has not had a turn."""
        return self.encoded == self.produced == 0

    @property
    def remaining(self) -> int:
        """Steps that are left to execute, encoding included."""
        return len(self.sequence) - self.encoded + self.steps - self.produced

    def take(self, values_S: npt.NDArray[np.float64]) -> None:
        """Add the next values of the rollout, as many as are wanted and finite."""
        values_S = values_S[: self.steps - self.produced]
        finite_S = finite_part(values_S)
        self.diverged = len(finite_S) < len(values_S)
        self.chunks.append(finite_S)
        self.produced += len(finite_S)


def finite_part(values_S: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values before the first that is not finite; nearly always all of them."""
    if math.isfinite(values_S.dot(values_S)):  # as long as no square overflows, which is looked at more closely then
        return values_S
    finite_S = np.isfinite(values_S)
    return values_S if finite_S.all() else values_S[: int(finite_S.argmin())]


class Scheduler:
    """The queue of jobs. It is not thread-safe: one thread adds to it and takes from it."""

    def __init__(self, max_batch: int) -> None:
        self._max_batch = max_batch
        self._new: deque[Job] = deque()
        self._begun: deque[Job] = deque()
        self._passed_over = 0
        """Iterations in a row that were of new jobs only, while others waited."""

    def add(self, job: Job) -> None:
        """Queue a job for the next iteration that has room for it."""
        self._new.append(job)

    def add_last(self, job: Job) -> None:
        """Queue a job behind all others, as if it had had a turn."""
        self._begun.append(job)

    def next_batch(self) -> list[Job]:
        """The jobs of the next iteration, taken out of the queue; none when it is empty."""
        batch: list[Job] = []
        begun = len(self._begun)
        for queue in (self._new, self._begun) if self._passed_over < NEW_ONLY else (self._begun, self._new):
            while queue and len(batch) < self._max_batch:
                job = queue.popleft()
                if not job.cancelled:
                    batch.append(job)
        self._passed_over = self._passed_over + 1 if begun and len(self._begun) == begun else 0
        return batch

    def put_back(self, batch: Sequence[Job]) -> list[Job]:
        """Queue the unfinished jobs of a batch again, and return the finished ones."""
        self._begun.extend(job for job in batch if not job.finished and not job.cancelled)
        return [job for job in batch if job.finished]


class Turn(NamedTuple):
    """What was executed in one iteration, over all jobs, and how long it took."""

    encoded: int
    """Steps."""

    encode_s: float
    rolled_out: int
    rollout_s: float

    @property
    def executed(self) -> int:
        """All steps."""
        return self.encoded + self.rolled_out


def advance(runtime: Runtime, batch: Sequence[Job], chunk_steps: int) -> Turn:
    """Move each job of a batch on by at most `chunk_steps`.

    A job whose sequence is encoded within this iteration rolls out in it as well: on an idle server a short request is
    a single iteration.
    """
    began = time.perf_counter()
    encoded = rolled_out = 0
    encoding = [job for job in batch if job.encoded < len(job.sequence)]
    # A sequence that fits into the chunk needs no state to begin from; a longer one begins at the scale of its whole.
    fresh = [job for job in encoding if job.state is None and len(job.sequence) <= chunk_steps]
    others = [job for job in encoding if job.state is not None or len(job.sequence) > chunk_steps]
    before = [job.state or runtime.start(job.sequence) for job in others]
    for jobs, states in ((fresh, None), (others, before)):
        parts = [job.sequence[job.encoded : job.encoded + chunk_steps] for job in jobs]
        for job, part, state in zip(jobs, parts, runtime.encode(parts, states) if parts else [], strict=True):
            job.state, job.encoded = state, job.encoded + len(part)
            encoded += len(part)

    between = time.perf_counter()
    rolling = [(job, job.state) for job in batch if job.state is not None and job.encoded == len(job.sequence)]
    if rolling:
        steps = min(chunk_steps, max(job.steps - job.produced for job, _ in rolling))
        values_BS, after = runtime.rollout([state for _, state in rolling], steps)
        for (job, begun), values_S, state in zip(rolling, values_BS, after, strict=True):
            job.observed = job.observed or begun
            if job.keeps_state and (left := job.steps - job.produced) < steps:
                # The others of the batch needed more steps than this one, whose state is now past its own end.
                _, (state,) = runtime.rollout([begun], left)
                rolled_out += left
            job.state = state
            job.take(values_S)
        rolled_out += steps * len(rolling)
    return Turn(encoded, between - began, rolled_out, time.perf_counter() - between)
