"""Forecasts of many series: values, intervals, and whether the model fits.

Shape suffixes: N values of all series, B series, S steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from model.artifact import Artifact
from model.fit import Expectation, fits_of
from model.runtime.base import Runtime
from model.runtime.many import forecast_many
from model.runtime.seasons import find_seasons

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SeriesForecasts:
    """The forecasts of many series, in the unit of each."""

    values_BS: Floats
    ends: dict[str, Floats]
    """The ends of the intervals [B, S], from the lowest to the highest: `lo-95`, `lo-80`, `hi-80`, `hi-95`."""

    finite_B: npt.NDArray[np.bool_]
    """False if the forecast stops being finite."""

    fits_B: npt.NDArray[np.bool_]
    """False if the model does not fit the series."""


@dataclass(frozen=True)
class Model:
    """An artifact and its runtime."""

    artifact: Artifact
    runtime: Runtime

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        return self.artifact.metadata.fit.expectations if self.artifact.metadata.fit else ()

    def forecast(self, value_N: Floats, start_B1: Integers, steps: int, levels: Sequence[int] = ()) -> SeriesForecasts:
        """Return the forecasts of series that stand one after the other.

        Args:
            value_N: the values of all series, all finite.
            start_B1: the index of the first value of each series, and the number of all values.
            steps: the number of values to forecast for each.
            levels: the levels of intervals in per cent, which `Intervals.check` accepts for each series.
        """
        length_B, metadata = np.diff(start_B1), self.artifact.metadata
        seasonal = metadata.architecture.inputs == "anchors"
        season_B = np.full(len(length_B), metadata.season or 1)
        if seasonal and metadata.season is None:
            season_B = find_seasons(value_N, start_B1)
        found = forecast_many(self.runtime, value_N, start_B1, steps, season_B)
        fits = fits_of(self.expectations, length_B, found.scale_B, found.residual_B, found.noise_B)
        finite_B = np.asarray(np.isfinite(found.values_BS).all(axis=1))
        ends: dict[str, Floats] = {}
        if levels and self.artifact.intervals is not None:
            ends = self.artifact.intervals.around_many(found.values_BS, fits, found, length_B, levels)
        return SeriesForecasts(found.values_BS, ends, finite_B, fits.fits_B)
