"""What a request costs, where it runs, and when it is refused: everything between a validated request and its values.

The cost of a request is known on arrival: `len(sequence) + steps` steps of the network, at a price that is measured
when the model is loaded. A request of little work is computed at once, on the event loop, where that is the runtime's
cheapest way; everything else goes through the scheduler, a chunk at a time, on the model's own thread.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.errors import ClientGone, DeadlineExceeded, Overloaded
from app.scheduler import Job, Scheduler, advance, finite_part
from app.telemetry.metrics import Metrics
from app.telemetry.observation import worked
from model.runtime import Runtime, State

INLINE_S = 250e-6
"""The longest that a forecast may hold the event loop: less than what it costs to hand it to another thread, whose end
has to wake the loop, and to interleave it with what else waits there."""

CHUNK_S = 1e-3
"""How long the model's thread works on one batch before it looks for new and cancelled work."""

PART = 256
"""Values in a part of a stream, or as many as take CHUNK_S where that is fewer: about 5 kB of JSON, and never long to
wait for."""

SHARE = {"short": 0.25, "long": 0.75}
"""Parts of what may wait: for requests that are done in a single turn on the model's thread, and for all others."""

_SMALLEST_CHUNK, _LARGEST_CHUNK = 16, 4096
_MAX_BATCH = 64
"""Rows at a time, for a runtime that gains from batches."""


@dataclass(frozen=True)
class Limits:
    """What is admitted."""

    max_pending_s: float
    """Seconds of work that may be waiting. One request is always admitted where no other of its kind waits."""

    timeout_s: float
    """Seconds after which a request is given up; a request may ask for less."""


class Forecast(NamedTuple):
    """The values of a rollout, in parts, and what it leaves behind."""

    chunks: Sequence[npt.NDArray[np.float64]]
    diverged: bool
    """The rollout stopped being finite, and ended before that."""

    observed: State | None = None
    """The state after the sequence, before the rollout; None where nobody asked for states."""

    reached: State | None = None
    """The state after the rollout, whose predictions it takes for values; None where nobody asked for states."""


class Forecaster:
    """Answers requests with one runtime. Belongs to one event loop."""

    def __init__(
        self,
        runtime: Runtime,
        limits: Limits,
        metrics: Metrics | None = None,
    ) -> None:
        """`metrics` count what is done; by default, some that nobody reads."""
        self.runtime = runtime
        self._pending_steps = {"short": 0, "long": 0}
        self._step_s = _price(runtime)
        self._limits = limits
        self._metrics = metrics or Metrics(())
        self._inline, self._ended = self._metrics.stages["inline"], self._metrics.ended
        self._inline_steps = 0 if runtime.batches else int(INLINE_S / self._step_s)
        self._chunk_steps = min(max(int(CHUNK_S / self._step_s), _SMALLEST_CHUNK), _LARGEST_CHUNK)
        self._part_steps = min(self._chunk_steps, PART)
        # Without a gain from batching, the jobs of a batch would only wait for each other.
        self._scheduler = Scheduler(_MAX_BATCH if runtime.batches else 1)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._answers: dict[Job, asyncio.Future[None]] = {}
        self._running: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def forecast(
        self,
        sequence: Sequence[float],
        steps: int,
        timeout_s: float | None = None,
        client_gone: Callable[[], Awaitable[object]] | None = None,
        state: State | None = None,
        keeps_state: bool = False,
        admitted: bool = False,
    ) -> Forecast:
        """The `steps` values that follow `sequence`, in its unit.

        Args:
            sequence: all finite; at least one value where there is no `state`.
            steps: at least one.
            timeout_s: give up after this many seconds, if the service does not sooner.
            client_gone: returns when nobody waits for the answer any more. Awaited only for work that takes long.
            state: what the sequence goes on from, at the scale of that; None for the start.
            keeps_state: whether the forecast's states are wanted.
            admitted: never refuse; for the parts of what has been admitted as a whole.

        Raises:
            Overloaded: too much work is waiting, or it could not be done in time.
            DeadlineExceeded: it was not done in time.
            ClientGone: nobody waits for it any more.
        """
        cost = len(sequence) + steps
        if cost <= self._inline_steps:
            began = time.perf_counter()
            forecast = _at_once(self.runtime, sequence, steps, state, keeps_state)
            self._inline.ran(cost, time.perf_counter() - began)
            worked(cost)
        else:
            timeout_s = self._timeout_s(timeout_s)
            if not admitted:
                self._admit(cost, timeout_s)
            job = Job(sequence, steps, state, keeps_state, queued_s=time.perf_counter())
            try:
                await self._queued(job, cost, timeout_s, client_gone)
            except BaseException as error:
                if not admitted:
                    self._ended[_given_up(error)].add()
                raise
            forecast = Forecast(job.chunks, job.diverged, job.observed, job.state)
        if not admitted:
            self._ended["diverged" if forecast.diverged else "length"].add()
        return forecast

    async def stream(
        self, sequence: Sequence[float], steps: int, timeout_s: float | None = None, state: State | None = None
    ) -> AsyncGenerator[Forecast]:
        """The same values in parts. Each is computed when it is asked for, so a slow reader slows only itself.

        Admitted, or refused, as a whole, when the first part is asked for; `timeout_s` is for each part. For the rest
        see `forecast`.
        """
        self._admit(len(sequence) + steps, self._timeout_s(timeout_s))
        try:
            while steps > 0:
                part = await self.forecast(
                    sequence, min(steps, self._part_steps), timeout_s, state=state, keeps_state=True, admitted=True
                )
                yield part
                sequence, state, steps = (), part.reached, 0 if part.diverged else steps - self._part_steps
        except BaseException as error:
            self._ended[_given_up(error)].add()
            raise
        self._ended["diverged" if part.diverged else "length"].add()

    async def forecast_batch(
        self,
        rows: Sequence[Sequence[float]],
        steps: int,
        timeout_s: float | None = None,
        client_gone: Callable[[], Awaitable[object]] | None = None,
    ) -> list[Forecast]:
        """The forecast of each row, the same as `forecast` gives it. All of them are admitted, or none.

        Arguments and errors are those of `forecast`; there is at least one row.
        """
        if len(rows) == 1:
            return [await self.forecast(rows[0], steps, timeout_s, client_gone)]
        costs = [len(row) + steps for row in rows]
        if sum(costs) <= self._inline_steps:
            forecasts = [await self.forecast(row, steps, admitted=True) for row in rows]
        else:
            timeout_s = self._timeout_s(timeout_s)
            self._admit(sum(costs), timeout_s)
            try:
                forecasts = await self._admitted_batch(rows, steps, costs, timeout_s, client_gone)
            except BaseException as error:
                self._ended[_given_up(error)].add(len(rows))
                raise
        for forecast in forecasts:
            self._ended["diverged" if forecast.diverged else "length"].add()
        return forecasts

    async def _admitted_batch(
        self,
        rows: Sequence[Sequence[float]],
        steps: int,
        costs: Sequence[int],
        timeout_s: float,
        client_gone: Callable[[], Awaitable[object]] | None,
    ) -> list[Forecast]:
        kind = self._kind(sum(costs))
        self._pend(kind, sum(costs))
        jobs: list[Job] = []
        work: asyncio.Future[Any]
        if max(costs) <= self._inline_steps:
            work = asyncio.ensure_future(self._in_turns(rows, steps, self._inline_steps // max(costs)))
        else:
            jobs = [Job(row, steps, queued_s=time.perf_counter()) for row in rows]
            # As jobs that had had a turn: otherwise the first turns of all of them would go before what is short.
            add = self._scheduler.add if kind == "short" else self._scheduler.add_last
            work = asyncio.gather(*(self._enqueue(job, add) for job in jobs))
        try:
            await _first(work, client_gone, timeout_s)
            return [Forecast(job.chunks, job.diverged) for job in jobs] or work.result()
        finally:
            work.cancel()
            self._pend(kind, -sum(costs))
            for job in jobs:
                self._leave(job)

    async def _in_turns(self, rows: Sequence[Sequence[float]], steps: int, rows_a_turn: int) -> list[Forecast]:
        """Rows of little work, on the event loop: to hand over each of them would cost more.

        However many batches there are, in a turn of the loop it is held by a single one, and for so many rows.
        """
        forecasts: list[Forecast] = []
        while len(forecasts) < len(rows):
            async with self._turn:
                for row in rows[len(forecasts) :][:rows_a_turn]:
                    forecasts.append(await self.forecast(row, steps, admitted=True))
                await asyncio.sleep(0)
        return forecasts

    def _timeout_s(self, asked_s: float | None) -> float:
        return min(asked_s or math.inf, self._limits.timeout_s)

    def _admit(self, cost: int, timeout_s: float) -> None:
        """Raise Overloaded if work of this cost, in steps, cannot be done in time beside what is waiting."""
        kind = self._kind(cost)
        # A job of a single turn waits for others of its kind, never for a long one; so it is not refused for them.
        waiting, ahead = self._pending_steps[kind], self._pending_steps["short"]
        ahead += self._pending_steps["long"] if kind == "long" else 0
        excess_s = max(
            (waiting + cost) * self._step_s - SHARE[kind] * self._limits.max_pending_s,
            (ahead + cost) * self._step_s - timeout_s,
        )
        if waiting > 0 and excess_s > 0:
            raise Overloaded(excess_s)

    def _kind(self, cost: int) -> str:
        return "short" if cost <= self._chunk_steps else "long"

    async def _queued(
        self, job: Job, cost: int, timeout_s: float, client_gone: Callable[[], Awaitable[object]] | None
    ) -> None:
        kind = self._kind(cost)
        self._pend(kind, cost)
        answer = self._enqueue(job, self._scheduler.add)
        try:
            await _first(answer, client_gone, timeout_s)
        finally:
            self._pend(kind, -cost)
            self._leave(job)

    def _enqueue(self, job: Job, add: Callable[[Job], None]) -> asyncio.Future[None]:
        """What is done when the job is."""
        answer = self._answers[job] = asyncio.get_running_loop().create_future()
        add(job)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return answer

    def _leave(self, job: Job) -> None:
        job.cancelled = True  # the scheduler drops it at its next turn; a finished one has left already
        del self._answers[job]
        worked(job.encoded + job.produced)

    def _pend(self, kind: str, steps: int) -> None:
        self._pending_steps[kind] += steps
        self._metrics.pending.set(sum(self._pending_steps.values()))

    async def _run(self) -> None:
        """Work until the queue is empty."""
        loop = asyncio.get_running_loop()
        while batch := self._scheduler.next_batch():
            began = time.perf_counter()
            self._metrics.rows.observe(len(batch))
            for job in batch:
                if job.untouched:
                    self._metrics.waited.observe(began - job.queued_s)
            try:
                turn = await loop.run_in_executor(self._thread, advance, self.runtime, batch, self._chunk_steps)
            except Exception as error:  # the requests of this batch fail; the others go on
                for job in batch:
                    if job in self._answers:
                        self._answers[job].set_exception(error)
                continue
            self._metrics.stages["encode"].ran(turn.encoded, turn.encode_s)
            self._metrics.stages["rollout"].ran(turn.rolled_out, turn.rollout_s)
            # What a step costs under this load: batching makes it less, a busy machine more.
            self._step_s += 0.1 * ((time.perf_counter() - began) / turn.executed - self._step_s)
            for job in self._scheduler.put_back(batch):
                if job in self._answers:
                    self._answers[job].set_result(None)
        self._running = None

    def close(self) -> None:
        """Wait for the model's thread to finish what it has begun."""
        self._thread.shutdown(cancel_futures=True)


def _at_once(
    runtime: Runtime, sequence: Sequence[float], steps: int, state: State | None, keeps_state: bool
) -> Forecast:
    if state is None and not keeps_state:
        finite_S = finite_part(runtime.forecast(sequence, steps))
        return Forecast([finite_S], diverged=len(finite_S) < steps)
    begun = None if state is None else [state]
    observed = runtime.encode([sequence], begun) if len(sequence) else begun or []
    values_BS, reached = runtime.rollout(observed, steps)
    finite_S = finite_part(values_BS[0])
    return Forecast([finite_S], len(finite_S) < steps, observed[0], reached[0])


def _given_up(error: BaseException) -> str:
    """Why a forecast that was admitted has no end of its own, for the metrics."""
    if isinstance(error, DeadlineExceeded):
        return "deadline"
    return "client_gone" if isinstance(error, ClientGone | GeneratorExit | asyncio.CancelledError) else "failed"


def _price(runtime: Runtime, steps: int = 512) -> float:
    """Seconds that a step of one sequence takes, measured; warm-up on the way."""
    durations = []
    for _ in range(5):
        began = time.perf_counter()
        runtime.forecast([0.5, 1.0], steps)
        durations.append(time.perf_counter() - began)
    return min(durations) / steps


async def _first(
    answer: asyncio.Future[Any], client_gone: Callable[[], Awaitable[object]] | None, timeout_s: float
) -> None:
    """Wait for the answer, or raise what came before it."""
    gone = asyncio.ensure_future(client_gone()) if client_gone is not None else None
    try:
        awaited: set[asyncio.Future[Any]] = {answer} if gone is None else {answer, gone}
        await asyncio.wait(awaited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if gone is not None:
            gone.cancel()
    if answer.done():
        answer.result()
    elif gone is not None and gone.done():
        raise ClientGone
    else:
        raise DeadlineExceeded(timeout_s)
