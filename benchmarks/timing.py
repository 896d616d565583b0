"""Times functions against each other, in turns: a disturbance of the machine affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Timing:
    """The seconds of one call, over all rounds."""

    least: float
    median: float


def in_turns(
    functions: Mapping[str, Callable[[], object]], rounds: int = 200, round_s: float = 0.002
) -> dict[str, Timing]:
    """Return the time of one call of each function.

    Every round calls every function for about `round_s` seconds, as often as fits. A round is shorter than a
    scheduler's time slice. The least of a function's rounds is therefore its undisturbed time; the median is its usual
    time here.
    """
    repeats = {}
    for name, function in functions.items():
        function()  # the first calls compile and allocate
        took = min(_timed(function, 1) for _ in range(5))
        repeats[name] = max(1, int(round_s / max(took, 1e-7)))
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            _timed(function, -(-repeats[name] // 2))  # warms the caches, which the previous function has filled
            taken[name].append(_timed(function, repeats[name]))
    return {name: Timing(min(times), median(times)) for name, times in taken.items()}


def _timed(function: Callable[[], object], repeats: int) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - began) / repeats
