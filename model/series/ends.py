"""Series whose forecasts would end at times that their column cannot hold."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from model.series.panel import Panel, Refused
from sine_client.frequency import TICKS

_SECONDS = {"day": 86_400, "business day": 120_960, "half month": 1_314_873, "month": 2_629_746}
"""The mean length of a unit of the calendar: a business day is 7/5 of a day, and a month 1/4800 of 400 years."""


def with_times(panel: Panel, steps: int, source: str) -> Panel:
    """Return the panel without the series whose next `steps` times cannot be written, which are refused.

    Args:
        panel: series with their last times.
        steps: the number of times that follow the last one of each series.
        source: the name of the file, for the reasons.
    """
    least, most, allowed = _limits(panel)
    at_B, units_B = panel.last.at_N, panel.frequency_B
    fine_B: npt.NDArray[np.bool_] = at_B >= least
    for number in np.unique(units_B):
        frequency = panel.frequencies[number]
        length = frequency.units * (
            _SECONDS[unit] * TICKS[panel.last.unit] if (unit := frequency.unit) in _SECONDS else 1
        )
        fine_B &= (units_B != number) | (at_B <= most - length * steps)
    if fine_B.all():
        return panel
    refused = [
        Refused(
            name, f"{source}: the forecast of series {str(name)!r} ends at a time that cannot be written; {allowed}"
        )
        for name in panel.ids.filter(pl.Series(~fine_B))
    ]
    length_B = np.diff(panel.start_B1)
    return replace(
        panel,
        ids=panel.ids.filter(pl.Series(fine_B)),
        value_N=panel.value_N[np.repeat(fine_B, length_B)],
        start_B1=np.concatenate([[0], np.cumsum(length_B[fine_B])]),
        last=panel.last[np.flatnonzero(fine_B)],
        frequency_B=units_B[fine_B],
        refused=panel.refused + refused,
    )


def _limits(panel: Panel) -> tuple[int | float, int | float, str]:
    """Return the least and the largest time that can be written, and what is allowed, for people."""
    if panel.last.wall_N is None:
        dtype = pl.Series([], dtype=panel.form.dtype).to_numpy().dtype
        if dtype.kind == "f":
            largest = float(np.finfo(dtype).max)
            return -largest, largest, f"it has to end at {largest:.4g} at most"
        whole = np.iinfo(np.int64) if dtype.itemsize == 8 else np.iinfo(dtype)
        return int(whole.min), int(whole.max), f"it has to end at {whole.max} at most"
    if panel.last.unit == "ns":
        return int(np.iinfo(np.int64).min), _ticks("2262-01-01", "ns"), "with nanoseconds, it has to end before 2262"
    unit = panel.last.unit
    return _ticks("0001-01-01", unit), _ticks("9999-01-01", unit), "it has to end before the year 9999"


def _ticks(day: str, unit: str) -> int:
    return int(np.datetime64(day, "s").astype(np.int64)) * TICKS[unit]
