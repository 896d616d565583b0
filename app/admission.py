"""What work is admitted: all that can be done in time beside what is waiting, and no more.

The cost of a request is known on arrival: `len(sequence) + steps` steps of the network, for each row of a batch. What a
step costs is measured when the model is loaded, and again under every load.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from app.errors import Overloaded
from app.telemetry.counters import Gauge
from model.runtime import Runtime

CHUNK_S = 1e-3
"""How long the model's thread works on one batch before it looks for new and cancelled work."""

_SMALLEST_CHUNK, _LARGEST_CHUNK = 16, 4096

Kind = Literal["short", "long"]

SHARE: dict[Kind, float] = {"short": 0.25, "long": 0.75}
"""Parts of what may wait: for requests that are done in a single turn on the model's thread, and for all others."""


@dataclass(frozen=True)
class Limits:
    """What is admitted."""

    max_pending_s: float
    """Seconds of work that may be waiting. One request is always admitted where no other of its kind waits."""

    timeout_s: float
    """Seconds after which a request is given up; a request may ask for less."""


class Admission:
    """The work that waits for one runtime, and the price of a step."""

    def __init__(self, runtime: Runtime, limits: Limits, pending: Gauge) -> None:
        """`pending` shows the steps that wait."""
        self.step_s = _price(runtime)
        """Seconds that a step takes."""

        self.chunk_steps = min(max(int(CHUNK_S / self.step_s), _SMALLEST_CHUNK), _LARGEST_CHUNK)
        """Steps of a single turn on the model's thread."""

        self._limits = limits
        self._pending: dict[Kind, int] = {"short": 0, "long": 0}
        self._shown = pending

    def timeout_s(self, asked_s: float | None) -> float:
        """Seconds after which a request is given up that asked for this."""
        return min(asked_s or math.inf, self._limits.timeout_s)

    def kind(self, cost: int) -> Kind:
        """Whether so many steps are a single turn on the model's thread."""
        return "short" if cost <= self.chunk_steps else "long"

    def check(self, cost: int, timeout_s: float) -> None:
        """Raise Overloaded if so many steps cannot be done in time beside what is waiting."""
        kind = self.kind(cost)
        # A job of a single turn waits for others of its kind, never for a long one; so it is not refused for them.
        waiting, ahead = self._pending[kind], self._pending["short"]
        ahead += self._pending["long"] if kind == "long" else 0
        excess_s = max(
            (waiting + cost) * self.step_s - SHARE[kind] * self._limits.max_pending_s,
            (ahead + cost) * self.step_s - timeout_s,
        )
        if waiting > 0 and excess_s > 0:
            raise Overloaded(excess_s)

    @contextmanager
    def pending(self, cost: int) -> Iterator[None]:
        """So many steps wait as long as this lasts."""
        kind = self.kind(cost)
        self._add(kind, cost)
        try:
            yield
        finally:
            self._add(kind, -cost)

    def measured(self, steps: int, seconds: float) -> None:
        """What a step costs under this load: batching makes it less, a busy machine more."""
        self.step_s += 0.1 * (seconds / steps - self.step_s)

    def _add(self, kind: Kind, steps: int) -> None:
        self._pending[kind] += steps
        self._shown.add(steps)


def _price(runtime: Runtime, steps: int = 512) -> float:
    """Seconds that a step of one sequence takes, measured; warm-up on the way."""
    durations = []
    for _ in range(5):
        began = time.perf_counter()
        runtime.forecast([0.5, 1.0], steps)
        durations.append(time.perf_counter() - began)
    return min(durations) / steps
