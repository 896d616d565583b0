"""The forecaster: everything between a validated request and its values.

A request of little work is computed at once, on the event loop, where that is the cheapest way for the runtime. All
other work is admitted (`app/engine/admission.py`) and goes through the scheduler, a chunk at a time, on the thread of
the model (`app/engine/model_thread.py`).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.engine.admission import Admission
from app.engine.model_thread import ModelThread
from app.engine.scheduler import Job, finite_part
from app.errors import ClientGone, DeadlineExceeded
from app.settings import Settings
from app.telemetry.context import count_work
from app.telemetry.metrics import Metrics
from model.runtime.base import Runtime, State

INLINE_S = 250e-6
"""A forecast may hold the event loop for so many seconds. Handing it to another thread costs more: the end of the work
there has to wake the loop, and the work has to be interleaved with what else waits there."""

FIRST_PART, PART = 16, 256
"""The first part of a stream has at most `FIRST_PART` values, each part at most twice as many as the one before, and no
part more than `PART`. So the first values are there soon, even where later parts are computed before it is sent. `PART`
values are about 5 kB of JSON, and never long to wait for."""

Gone = Callable[[], Awaitable[object]]
"""Returns when the client no longer waits for the answer."""

Charge = Callable[[int], None]
"""Charges the current request for so many steps. Raises Problem if that is more than it may ask for."""

Span = Callable[[int, int, int], AbstractContextManager[Callable[[bool], None]]]
"""Observes a forecast. It takes the number of rows, the length of the longest row, and the steps for each row. The
context manager gives a function that is called at the end and told whether the forecast has diverged."""

_NO_SPAN = nullcontext[Callable[[bool], None]](lambda diverged: None)


class Forecast(NamedTuple):
    """The values of a rollout, in parts, and the states before and after it."""

    chunks: Sequence[npt.NDArray[np.float64]]
    diverged: bool
    """True if the rollout has ended early because its values stopped being finite."""

    reached: State
    """The state after the rollout, which takes its predictions for values. Its memory holds only where states were
    asked for; all else of it always does."""

    observed: State | None = None
    """The state after the sequence, before the rollout. It holds only where states were asked for."""


class Forecaster:
    """Answers requests with one runtime. A forecaster belongs to one event loop."""

    def __init__(
        self,
        runtime: Runtime,
        settings: Settings,
        metrics: Metrics,
        charge: Charge | None = None,
        span: Span | None = None,
    ) -> None:
        """`charge` is called first for each request, within its `span`. None is for no such hook."""
        self.runtime = runtime
        self._has_hooks = charge is not None or span is not None
        self._charge: Charge = charge or (lambda steps: None)
        self._span: Span = span or (lambda rows, length, steps: _NO_SPAN)
        self._admission = Admission(runtime, settings, metrics.pending)
        self._thread = ModelThread(runtime, self._admission, metrics, settings.max_batch)
        self._inline, self._given_up = metrics.stages["inline"], metrics.ended
        self._ended = {False: metrics.ended["length"], True: metrics.ended["diverged"]}
        self._inline_steps = 0 if runtime.batches else int(INLINE_S / self._admission.step_s)
        self._part_steps = min(self._admission.chunk_steps, PART)
        # A batch rounds differently where its chunks begin at other steps than those of `forecast`.
        self._first_part_steps = self._part_steps if runtime.batches else min(self._part_steps, FIRST_PART)
        self._turn = asyncio.Lock()

    def is_inline(self, cost: int) -> bool:
        """Return whether a forecast of so many steps, encoding included, is computed at once, on the event loop."""
        return cost <= self._inline_steps

    async def forecast(
        self,
        sequence: Sequence[float],
        steps: int,
        timeout_s: float | None = None,
        client_gone: Gone | None = None,
        state: State | None = None,
        keeps_state: bool = False,
        season: int = 1,
    ) -> Forecast:
        """The `steps` values that follow `sequence`, in its unit.

        Args:
            sequence: all finite; at least one value where there is no `state`.
            steps: at least one.
            timeout_s: give up after this many seconds, if the service does not sooner.
            client_gone: awaited only for work that takes long.
            state: the sequence goes on from this state, in its units; None is for the start of a sequence.
            keeps_state: whether the forecast's states are wanted.
            season: that of a sequence without a `state`, 1 for none.

        Raises:
            Overloaded: too much work is waiting, or the forecast could not be done in time.
            DeadlineExceeded: it was not done in time.
            ClientGone: the client no longer waits for it.
        """
        cost = len(sequence) + steps
        if cost <= self._inline_steps and not self._has_hooks:  # to call none costs 4 % of a small forecast
            forecast = self._at_once(sequence, steps, state, keeps_state, season)
            self._ended[forecast.diverged].add()
            return forecast
        with self._span(1, len(sequence), steps) as ended:
            self._charge(cost)
            if cost <= self._inline_steps:
                forecast = self._at_once(sequence, steps, state, keeps_state, season)
            else:
                with self._admitted(cost, timeout_s) as limit_s:
                    job = Job(sequence, steps, state, season, keeps_state)
                    (forecast,) = await self._queued([job], cost, limit_s, client_gone)
            self._ended[forecast.diverged].add()
            ended(forecast.diverged)
            return forecast

    async def stream(
        self,
        sequence: Sequence[float],
        steps: int,
        timeout_s: float | None = None,
        state: State | None = None,
        season: int = 1,
    ) -> AsyncGenerator[Forecast]:
        """The same values in parts. Each part is computed when it is asked for, so a slow reader slows only itself.

        The whole is charged, and admitted or refused, when the first part is asked for; `timeout_s` is for each part.
        `forecast` has the other arguments and the errors.
        """
        cost = len(sequence) + steps
        with self._span(1, len(sequence), steps) as ended:
            self._charge(cost)
            size = self._first_part_steps
            with self._admitted(cost, timeout_s) as limit_s:
                while steps > 0:
                    wanted = min(steps, size)
                    cost = len(sequence) + wanted
                    if cost <= self._inline_steps:
                        part = self._at_once(sequence, wanted, state, True, season)
                    else:
                        job = Job(sequence, wanted, state, season, keeps_state=True)
                        (part,) = await self._queued([job], cost, limit_s)
                    yield part
                    sequence, state, steps = (), part.reached, 0 if part.diverged else steps - size
                    size = min(2 * size, self._part_steps)
            self._ended[part.diverged].add()
            ended(part.diverged)

    async def forecast_batch(
        self,
        rows: Sequence[Sequence[float]],
        steps: int,
        timeout_s: float | None = None,
        client_gone: Gone | None = None,
        seasons: Sequence[int] | None = None,
    ) -> list[Forecast]:
        """The forecast of each row, the same as `forecast` gives it. All rows are admitted, or none.

        There is at least one row. `seasons` has that of each; None is for no seasons. `forecast` has the other
        arguments and the errors.
        """
        seasons = seasons or [1] * len(rows)
        if len(rows) == 1:
            return [await self.forecast(rows[0], steps, timeout_s, client_gone, season=seasons[0])]
        longest = max(map(len, rows))
        cost = longest + steps
        with self._span(len(rows), longest, steps) as ended:
            self._charge(sum(map(len, rows)) + len(rows) * steps)
            if cost * len(rows) <= self._inline_steps:
                forecasts = [
                    self._at_once(row, steps, season=season) for row, season in zip(rows, seasons, strict=True)
                ]
            else:
                with self._admitted(cost, timeout_s, len(rows)) as limit_s:
                    if cost <= self._inline_steps:
                        with self._admission.pending(cost, len(rows)):
                            turns = self._in_turns(rows, seasons, steps, self._inline_steps // cost)
                            forecasts = await _first(turns, client_gone, limit_s)
                    else:
                        jobs = [Job(row, steps, season=season) for row, season in zip(rows, seasons, strict=True)]
                        forecasts = await self._queued(jobs, cost, limit_s, client_gone)
            for forecast in forecasts:
                self._ended[forecast.diverged].add()
            ended(any(forecast.diverged for forecast in forecasts))
            return forecasts

    async def _in_turns(
        self, rows: Sequence[Sequence[float]], seasons: Sequence[int], steps: int, rows_a_turn: int
    ) -> list[Forecast]:
        """Rows of little work, on the event loop: to hand over each of them would cost more.

        However many batches there are, in a turn of the loop it is held by a single one, and for so many rows.
        """
        forecasts: list[Forecast] = []
        while len(forecasts) < len(rows):
            async with self._turn:
                turn = slice(len(forecasts), len(forecasts) + rows_a_turn)
                for row, season in zip(rows[turn], seasons[turn], strict=True):
                    forecasts.append(self._at_once(row, steps, season=season))
                await asyncio.sleep(0)
        return forecasts

    def _at_once(
        self,
        sequence: Sequence[float],
        steps: int,
        state: State | None = None,
        keeps_state: bool = False,
        season: int = 1,
    ) -> Forecast:
        """A forecast of little work, on the event loop."""
        began, runtime = time.perf_counter(), self.runtime
        if state is None and not keeps_state:
            values_S, after = runtime.forecast(sequence, steps, season)
            finite_S = finite_part(values_S)
            forecast = Forecast([finite_S], len(finite_S) < steps, after)
        else:
            begun = [state] if state is not None else None if season == 1 else [runtime.start(sequence, season)]
            observed = runtime.encode([sequence], begun) if len(sequence) else begun or []
            values_BS, reached = runtime.rollout(observed, steps)
            finite_S = finite_part(values_BS[0])
            forecast = Forecast([finite_S], len(finite_S) < steps, reached[0], observed[0])
        cost = len(sequence) + steps
        self._inline.ran(cost, time.perf_counter() - began)
        count_work(cost)
        return forecast

    async def _queued(
        self, jobs: Sequence[Job], cost: int, timeout_s: float, client_gone: Gone | None = None
    ) -> list[Forecast]:
        """Admitted forecasts, on the model's thread. The longest one has `cost` steps."""
        # A long batch goes last: otherwise the first turns of all its rows would go before short work.
        last = len(jobs) > 1 and cost * len(jobs) > self._admission.chunk_steps
        with self._admission.pending(cost, len(jobs)), self._thread.working(jobs, last) as work:
            await _first(work, client_gone, timeout_s)
        return [Forecast(job.chunks, job.diverged, job.reached, job.observed) for job in jobs]

    @contextmanager
    def _admitted(self, cost: int, asked_s: float | None, rollouts: int = 1) -> Iterator[float]:
        """Admit so many rollouts, and give the seconds after which they are given up. `Admission.check` has the error.

        Rollouts that have no end of their own are counted by the reason.
        """
        timeout_s = self._admission.check(cost, asked_s, rollouts)
        try:
            yield timeout_s
        except BaseException as error:
            reason = "failed"
            if isinstance(error, DeadlineExceeded):
                reason = "deadline"
            elif isinstance(error, ClientGone | GeneratorExit | asyncio.CancelledError):
                reason = "client_gone"
            self._given_up[reason].add(rollouts)
            raise

    def close(self) -> None:
        """Wait for the model's thread to finish what it has begun."""
        self._thread.close()


async def _first(work: Awaitable[Any], client_gone: Gone | None, timeout_s: float) -> Any:
    """Return the result of the work. Raises ClientGone or DeadlineExceeded if the one or the other comes first."""
    awaited = [asyncio.ensure_future(work)]
    if client_gone is not None:
        awaited.append(asyncio.ensure_future(client_gone()))
    try:
        done, _ = await asyncio.wait(awaited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in awaited:
            future.cancel()
    if awaited[0] in done:
        return awaited[0].result()
    raise ClientGone if done else DeadlineExceeded(timeout_s)
