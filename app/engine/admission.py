"""Admission: a request is taken if it can be done soon and in time beside the work that waits, and refused otherwise.

The cost of a request is known on arrival: `len(sequence) + steps` steps of the network, for each row of a batch. The
duration of a step is measured when the model is loaded, and again under every load.

Jobs take turns, so a job of c steps waits for at most c steps of each other job. Admission counts only these as queued
ahead of it, so a few long rollouts hardly delay a short request. Where jobs advance together, in a batch, only full
batches are ahead. A request may always have `OWN_COST_FACTOR` times its own cost queued ahead, so many short requests
hardly delay a long one.
"""

import math
import timeit
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Overloaded
from app.settings import Settings
from app.telemetry.instruments import Gauge
from model.runtime.base import Runtime

CHUNK_S = 1e-3
"""Seconds that the model's thread works on one batch before it looks for new and cancelled work."""

OWN_COST_FACTOR = 3
"""Work queued ahead of a request is always accepted up to so many times the request's own cost on an idle machine."""


class Admission:
    """The work that waits for one runtime, and the duration of a step."""

    def __init__(self, runtime: Runtime, settings: Settings, pending: Gauge) -> None:
        """`settings` hold `max_pending_s` and `timeout_s`; `pending` is the metric of the steps that wait."""
        self.step_s = self._idle_step_s = _price(runtime)
        """Seconds that a step takes: under the present load, and on an idle machine."""

        self.chunk_steps = min(max(int(CHUNK_S / self.step_s), 16), 4096)
        """Steps that a job makes in one turn on the model's thread, at most: between 16 and 4,096."""

        self._rows = settings.max_batch if runtime.batches else 1
        """The number of jobs that advance together."""

        self._max_pending_s, self._timeout_s = settings.max_pending_s, settings.timeout_s
        self._pending: Counter[int] = Counter()
        """The number of waiting jobs for each number of steps."""

        self._shown = pending

    def check(self, cost: int, asked_s: float | None, jobs: int = 1) -> float:
        """Return the seconds after which a request for `jobs` of `cost` steps each is given up: at most `asked_s`.

        Raises Overloaded if they cannot be done in time beside the work that waits. If nothing waits, every request is
        admitted.
        """
        timeout_s = min(asked_s or math.inf, self._timeout_s)
        own_steps = cost * -(-jobs // self._rows)
        ahead_s = self._waiting_steps(cost) * self.step_s
        bearable_s = OWN_COST_FACTOR * own_steps * self._idle_step_s + self._max_pending_s
        if self._pending and (ahead_s > bearable_s or ahead_s + own_steps * self.step_s > timeout_s):
            # Retry after all of the waiting work: jobs that take turns end late, and together.
            raise Overloaded(self._waiting_steps() * self.step_s)
        return timeout_s

    def _waiting_steps(self, most: float = math.inf) -> float:
        """Return the steps that pass while each waiting job makes `most` of its steps at most.

        A new job joins those that advance together, so only full batches are ahead of it.
        """
        steps = sum(count * min(steps, most) for steps, count in self._pending.items())
        if self._rows == 1:
            return steps
        jobs = self._pending.total()
        return steps / jobs * (jobs // self._rows) if jobs else 0

    @contextmanager
    def pending(self, cost: int, jobs: int = 1) -> Iterator[None]:
        """Count `jobs` of `cost` steps each as waiting work while the context lasts."""
        self._add(cost, jobs)
        try:
            yield
        finally:
            self._add(cost, -jobs)

    def measured(self, steps: int, seconds: float) -> None:
        """Correct the duration of a step: an iteration whose longest row made `steps` took so long. A busy machine
        lengthens it.
        """
        self.step_s += 0.1 * (seconds / steps - self.step_s)

    def _add(self, cost: int, jobs: int) -> None:
        self._pending[cost] += jobs
        if not self._pending[cost]:
            del self._pending[cost]
        self._shown.add(cost * jobs)


def _price(runtime: Runtime, steps: int = 512) -> float:
    """Measure the seconds that a step of one sequence takes. This also warms the runtime up."""
    return min(timeit.repeat(lambda: runtime.forecast([0.5, 1.0], steps), number=1, repeat=5)) / steps
