"""What work is admitted: all that can be done soon and in time beside what is waiting, and no more.

The cost of a request is known on arrival: `len(sequence) + steps` steps of the network, for each row of a batch. What a
step costs is measured when the model is loaded, and again under every load.

Jobs take turns, so one of c steps waits for at most c steps of each of the others: that, and not all that is waiting,
is what stands before it. So a few long rollouts are nothing to a short request. And a request may have
`OWN_COST_FACTOR` times its own cost before it, however much that is, so many short ones are nothing to a long one.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import Overloaded
from app.telemetry.instruments import Gauge
from model.runtime.base import Runtime

CHUNK_S = 1e-3
"""How long the model's thread works on one batch before it looks for new and cancelled work."""

_SMALLEST_CHUNK, _LARGEST_CHUNK = 16, 4096

OWN_COST_FACTOR = 3
"""How many times the work of a request, as long as that takes on an idle machine, may always stand before it."""


@dataclass(frozen=True)
class Limits:
    """What is admitted."""

    max_pending_s: float
    """Seconds of work that may stand before a request, beside `OWN_COST_FACTOR` times its own. With none, all are
    admitted."""

    timeout_s: float
    """Seconds after which a request is given up; a request may ask for less."""


class Admission:
    """The work that waits for one runtime, and the price of a step."""

    def __init__(self, runtime: Runtime, limits: Limits, pending: Gauge) -> None:
        """`pending` shows the steps that wait."""
        self.step_s = self._idle_step_s = _price(runtime)
        """Seconds that a step takes: now, and where nothing else runs."""

        self.chunk_steps = min(max(int(CHUNK_S / self.step_s), _SMALLEST_CHUNK), _LARGEST_CHUNK)
        """Steps of a single turn on the model's thread."""

        self._limits = limits
        self._pending: Counter[int] = Counter()
        """How many jobs there are of so many steps."""

        self._waiting = 0
        """Steps of all of them."""

        self._shown = pending

    def timeout_s(self, asked_s: float | None) -> float:
        """Seconds after which a request is given up that asked for this."""
        return min(asked_s or math.inf, self._limits.timeout_s)

    def is_short(self, cost: int) -> bool:
        """Whether so many steps are a single turn on the model's thread."""
        return cost <= self.chunk_steps

    def check(self, cost: int, timeout_s: float, jobs: int = 1) -> None:
        """Raise Overloaded if `jobs` of so many steps each cannot be done in time beside what is waiting."""
        ahead_s = sum(count * min(steps, cost) for steps, count in self._pending.items()) * self.step_s
        bearable_s = OWN_COST_FACTOR * jobs * cost * self._idle_step_s + self._limits.max_pending_s
        if ahead_s > 0 and (ahead_s > bearable_s or ahead_s + jobs * cost * self.step_s > timeout_s):
            # Jobs that take turns end late, and together.
            raise Overloaded(self._waiting * self.step_s)

    @contextmanager
    def pending(self, cost: int, jobs: int = 1) -> Iterator[None]:
        """`jobs` of so many steps each wait as long as this lasts."""
        self._add(cost, jobs)
        try:
            yield
        finally:
            self._add(cost, -jobs)

    def measured(self, steps: int, seconds: float) -> None:
        """What a step costs under this load: batching makes it less, a busy machine more."""
        self.step_s += 0.1 * (seconds / steps - self.step_s)

    def _add(self, cost: int, jobs: int) -> None:
        self._pending[cost] += jobs
        if not self._pending[cost]:
            del self._pending[cost]
        self._waiting += cost * jobs
        self._shown.add(cost * jobs)


def _price(runtime: Runtime, steps: int = 512) -> float:
    """Seconds that a step of one sequence takes, measured; warm-up on the way."""
    durations = []
    for _ in range(5):
        began = time.perf_counter()
        runtime.forecast([0.5, 1.0], steps)
        durations.append(time.perf_counter() - began)
    return min(durations) / steps
