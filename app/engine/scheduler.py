"""Iteration-level scheduling: it decides which work runs next. It has no torch and no I/O.

A rollout of any length runs a chunk at a time. Each iteration takes the jobs at the front of the queue as one batch,
advances each of them by at most a chunk, and puts the unfinished ones back at the end. So a new job joins the next
iteration, a short job never waits until a long one ends, and finished and cancelled jobs leave at once. New jobs go
before those that have had a turn. That has a limit, because many short jobs would otherwise stop the long ones. Orca
(Yu et al., OSDI 2022) introduced the scheduling of iterations in place of requests.
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
"""The most iterations in a row that run only new jobs while begun jobs wait."""


@dataclass(eq=False)
class Job:
    """One forecast: encode a sequence, then roll out `steps` values."""

    sequence: Sequence[float]
    """It may be empty where there is a state."""

    steps: int
    state: State | None = None
    """The state after all that is encoded and rolled out so far. At first, the state to continue, or None."""

    season: int = 1
    """The season of a sequence without a state. Only an anchored network sees it."""

    keeps_state: bool = False
    """True if the state after the last step is wanted. Otherwise the state may end up at a later step."""

    queued_s: float = field(default_factory=time.perf_counter)
    """The time of queuing, on the clock of `time.perf_counter`."""

    observed: State | None = None
    """The state after the last value of the sequence. None until that value is encoded."""

    encoded: int = 0
    """The number of values of the sequence that are encoded."""

    chunks: list[npt.NDArray[np.float64]] = field(default_factory=list)
    """The values of the rollout so far, in the caller's units."""

    produced: int = 0
    cancelled: bool = False
    diverged: bool = False
    """True if the rollout has ended early because its values stopped being finite."""

    @property
    def reached(self) -> State:
        """The state of a job that has had its turn."""
        assert self.state is not None  # noqa: S101
        return self.state

    @property
    def finished(self) -> bool:
        return self.diverged or self.produced == self.steps

    def take(self, values_S: npt.NDArray[np.float64]) -> None:
        """Append the next values of the rollout, as far as they are wanted and finite."""
        values_S = values_S[: self.steps - self.produced]
        finite_S = finite_part(values_S)
        self.diverged = len(finite_S) < len(values_S)
        self.chunks.append(finite_S)
        self.produced += len(finite_S)


def finite_part(values_S: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values before the first one that is not finite. Nearly always, these are all values."""
    if math.isfinite(values_S.dot(values_S)):  # it is not finite either where a square overflows
        return values_S
    finite_S = np.isfinite(values_S)
    return values_S if finite_S.all() else values_S[: int(finite_S.argmin())]


class Scheduler:
    """The queue of jobs. It is not thread-safe: only one thread may use it."""

    def __init__(self, max_batch: int) -> None:
        self._max_batch = max_batch
        self._new: deque[Job] = deque()
        self._begun: deque[Job] = deque()
        self._passed_over = 0
        """The number of iterations in a row that ran only new jobs while begun jobs waited."""

    def add(self, job: Job, last: bool = False) -> None:
        """Queue a job for the next iteration that has room for it, or `last` behind all others, as if it had begun."""
        (self._begun if last else self._new).append(job)

    def next_batch(self) -> list[Job]:
        """Take the jobs of the next iteration out of the queue. There are none when it is empty."""
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
        """Queue the unfinished jobs of a batch again. Returns the finished ones."""
        self._begun.extend(job for job in batch if not job.finished and not job.cancelled)
        return [job for job in batch if job.finished]


class Turn(NamedTuple):
    """The steps of one iteration over all jobs, those of encoding and those of rollouts, and the seconds of each."""

    encoded: int
    encode_s: float
    rolled_out: int
    rollout_s: float

    longest: int
    """The steps that passed: those of the longest job, in each call of the runtime."""


def advance(runtime: Runtime, batch: Sequence[Job], chunk_steps: int) -> Turn:
    """Advance each job of a batch by at most `chunk_steps`.

    A job whose sequence is encoded within this iteration also rolls out in it. So on an idle server a short request
    takes a single iteration.
    """
    began = time.perf_counter()
    encoded = rolled_out = longest = 0
    encoding = [job for job in batch if job.encoded < len(job.sequence)]
    # A sequence that fits into the chunk and has no season needs no first state. A longer one starts with the units of
    # all its values.
    fresh: list[Job] = []
    others: list[Job] = []
    for job in encoding:
        is_fresh = job.state is None and job.season == 1 and len(job.sequence) <= chunk_steps
        (fresh if is_fresh else others).append(job)
    before = [job.state or runtime.start(job.sequence, job.season) for job in others]
    for jobs, states in ((fresh, None), (others, before)):
        parts = [job.sequence[job.encoded : job.encoded + chunk_steps] for job in jobs]
        for job, part, state in zip(jobs, parts, runtime.encode(parts, states) if parts else [], strict=True):
            job.state, job.encoded = state, job.encoded + len(part)
            encoded += len(part)
        longest += max(map(len, parts), default=0)

    between = time.perf_counter()
    rolling = [(job, job.state) for job in batch if job.state is not None and job.encoded == len(job.sequence)]
    if rolling:
        steps = min(chunk_steps, max(job.steps - job.produced for job, _ in rolling))
        values_BS, after = runtime.rollout([state for _, state in rolling], steps)
        for (job, begun), values_S, state in zip(rolling, values_BS, after, strict=True):
            job.observed = job.observed or begun
            if job.keeps_state and (left := job.steps - job.produced) < steps:
                # Other jobs of the batch needed more steps than this one, so its state is past its own end by now.
                _, (state,) = runtime.rollout([begun], left)
                rolled_out += left
                longest += left
            job.state = state
            job.take(values_S)
        rolled_out += steps * len(rolling)
        longest += steps
    return Turn(encoded, between - began, rolled_out, time.perf_counter() - between, longest)
