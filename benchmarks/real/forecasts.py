"""The contract of a forecaster, and the quantiles that it may give.

Shape suffixes: T time, S steps, Q quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from training.data import Floats

QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The quantiles that are measured, Q."""

LEVELS = (20, 40, 60, 80)
"""The levels of the central intervals, in per cent, whose ends are these quantiles. The median is their middle."""


class Refused(ValueError):
    """A forecaster does not forecast this series; the message says why."""


@dataclass(frozen=True)
class Forecast:
    """A forecast from one origin, in the units of the series."""

    values_S: Floats
    quantiles_SQ: Floats | None = None
    """The quantiles `QUANTILES` of each step; None if the forecaster gives none."""

    def __post_init__(self) -> None:
        shape = (len(self.values_S), len(QUANTILES))
        if self.quantiles_SQ is not None and self.quantiles_SQ.shape != shape:
            raise ValueError(f"the quantiles are {self.quantiles_SQ.shape}, not {shape}")
        if not all(np.isfinite(part).all() for part in (self.values_S, self.quantiles_SQ) if part is not None):
            raise ValueError("the forecast has values that are not finite")


class Forecaster(Protocol):
    """A method that forecasts any series."""

    @property
    def name(self) -> str:
        """Name in tables and files."""

    @property
    def version(self) -> str:
        """Everything beside the series that the forecasts depend on. Another version makes stored forecasts invalid."""

    def forecast(self, past_T: Floats, season: int, horizon: int) -> Forecast:
        """Return the forecast of the next `horizon` values, S, from all values before the origin.

        A season of 1 stands for none.

        Raises:
            Refused: it does not forecast such a series.
        """


def from_intervals(middle_S: Floats, ends: dict[str, Floats]) -> Floats:
    """Return quantiles [S, Q] from the middle and the ends of the intervals `LEVELS`, named `lo-80` … `hi-80`."""
    lower = [ends[f"lo-{level}"] for level in reversed(LEVELS)]
    upper = [ends[f"hi-{level}"] for level in LEVELS]
    return np.stack([*lower, middle_S, *upper], axis=1)
