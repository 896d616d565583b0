"""The thread that a model runs on. It advances the jobs of the scheduler, a chunk at a time, while there are any."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from app.engine.admission import Admission
from app.engine.scheduler import Job, Scheduler, advance
from app.telemetry.context import count_work
from app.telemetry.metrics import Metrics
from model.runtime.base import Runtime


class ModelThread:
    """Runs jobs. A thread belongs to one event loop."""

    def __init__(self, runtime: Runtime, admission: Admission, metrics: Metrics, max_batch: int) -> None:
        """`max_batch` limits the rows of an iteration, where batching gains anything."""
        self.runtime = runtime
        self._admission = admission
        self._metrics = metrics
        # Where batching gains nothing, the jobs of a batch would only wait for each other.
        self._scheduler = Scheduler(max_batch if runtime.batches else 1)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._thread.submit(int)  # starts the thread now: later the system may refuse one
        self._answers: dict[Job, asyncio.Future[None]] = {}
        self._running: asyncio.Task[None] | None = None

    @contextmanager
    def working(self, jobs: Sequence[Job], last: bool = False) -> Iterator[asyncio.Future[Any]]:
        """Queue jobs, behind all others where `last` says so, and drop at the end those that are not done.

        The future is done when all of them are.
        """
        answers = [asyncio.get_running_loop().create_future() for _ in jobs]
        self._answers.update(zip(jobs, answers, strict=True))
        for job in jobs:
            self._scheduler.add(job, last)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            yield answers[0] if len(answers) == 1 else asyncio.gather(*answers)
        finally:
            for job in jobs:
                job.cancelled = True  # the scheduler drops it at its next turn; a finished one has left already
                del self._answers[job]
                count_work(job.encoded + job.produced)

    async def _run(self) -> None:
        """Work until the queue is empty."""
        loop, stages, chunk_steps = asyncio.get_running_loop(), self._metrics.stages, self._admission.chunk_steps
        while batch := self._scheduler.next_batch():
            began = time.perf_counter()
            self._metrics.rows.observe(len(batch))
            for job in batch:
                if job.encoded == job.produced == 0:  # this is its first turn
                    self._metrics.waited.observe(began - job.queued_s)
            try:
                turn = await loop.run_in_executor(self._thread, advance, self.runtime, batch, chunk_steps)
            except Exception as error:  # the requests of this batch fail; the others go on
                for job in batch:
                    if job in self._answers:
                        self._answers[job].set_exception(error)
                continue
            self._metrics.busy["model"].add(turn.encode_s + turn.rollout_s)
            stages["encode"].ran(turn.encoded, turn.encode_s)
            stages["rollout"].ran(turn.rolled_out, turn.rollout_s)
            self._admission.measured(turn.longest, turn.encode_s + turn.rollout_s)
            for job in self._scheduler.put_back(batch):
                if job in self._answers:
                    self._answers[job].set_result(None)
        self._running = None

    def close(self) -> None:
        """Wait for the thread to finish what it has begun."""
        self._thread.shutdown(cancel_futures=True)
