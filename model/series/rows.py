"""The rows of one series: their order, their grid of times, and their gaps."""

from dataclasses import dataclass, replace

import numpy as np

from model.series.columns import Columns
from model.series.gaps import MOST_FILLED, Fill, fill
from model.series.table import SeriesError, Table
from model.series.times import form_of
from model.series.values import ALLOWED, Floats
from sine_client.frequency import Frequency, Grid, Integers, Times, Uneven, grid_of


@dataclass(frozen=True)
class Rows:
    """The rows of one series."""

    table: Table
    columns: Columns
    name: str
    row_T: Integers
    """Their numbers in the table, from 0."""

    def in_order(self, time_N: Times) -> "Rows":
        """Return the rows in the order of time.

        Raises:
            SeriesError: two rows have the same time.
        """
        row_T = self.row_T[np.argsort(time_N.at_N[self.row_T], kind="stable")]
        same_T = np.diff(time_N.at_N[row_T]) == 0
        if np.any(same_T):
            first = int(np.argmax(same_T))
            several = "" if self.columns.id is not None else "; if the file has several series, --id names them"
            why = f"the same time{self._whose} as in row {self.table.row(row_T[first])}{several}"
            raise self.table.error(row_T[first + 1], why)
        return replace(self, row_T=row_T)

    def grid(self, time_N: Times | None) -> Grid:
        """Return the grid of the times. Without times, the rows are evenly spaced.

        Raises:
            SeriesError: the times lie on no grid, or are dates that are written as numbers.
        """
        if time_N is None:
            return Grid(np.arange(len(self.row_T)), Frequency(1, ""))
        time_T = time_N[self.row_T]
        grid = grid_of(time_T)
        first = grid.index if isinstance(grid, Uneven) else grid.first_gap
        if first and (form := form_of(time_T)):
            time, index = str(self.columns.time), int(self.row_T[first])
            raise self.table.error(index, f"{time} is {self.table.shown(time, index)}; write dates like {form}")
        if isinstance(grid, Uneven):
            why = f"{grid.apart}{self._whose} after row {self._row(first - 1)}, where the usual step is {grid.step}"
            raise self.table.error(self.row_T[first], f"{why}; times have to be evenly spaced")
        return grid

    def values(self, value_N: Floats, grid: Grid, how: Fill | None, at_least: int) -> Floats:
        """Return the values [T], gaps filled.

        Raises:
            SeriesError: there is a gap that cannot be filled, or must not be, or there are too few values.
        """
        value_T = value_N[self.row_T]
        if np.any(np.isnan(value_T)) or grid.missing:
            self._check_gaps(value_T, grid, how)
        if how is not None and len(value_T):
            value_T = fill(value_T, grid.position_T, how)
        if len(value_T) < at_least:
            last = f", row {self._row(-1)}" if len(self.row_T) else ""
            given = f"{len(value_T)}, and at least {at_least} are needed"
            raise SeriesError(f"{self.table.path}{last}: too few points{self._whose}: {given}")
        return value_T

    def _check_gaps(self, value_T: Floats, grid: Grid, how: Fill | None) -> None:
        """Raise if a gap cannot be filled."""
        missing_T = np.isnan(value_T)
        given = int(np.count_nonzero(~missing_T))
        if how is None and np.any(missing_T):
            index, name = int(self.row_T[np.argmax(missing_T)]), self.columns.value
            raise self.table.error(index, f"{name} is {self.table.shown(name, index)}; {ALLOWED}; --fill closes gaps")
        if how is None and (first := grid.first_gap):
            steps = f"{grid.position_T[first] - grid.position_T[first - 1]} steps of {grid.step}"
            why = f"{steps}{self._whose} after row {self._row(first - 1)}; times have to be evenly spaced"
            raise self.table.error(self.row_T[first], f"{why}: fill the gaps, or let --fill do it")
        if grid.position_T[-1] >= (1 + MOST_FILLED) * given:
            why = f"at most {MOST_FILLED} values are filled for each that is given, and {given} are given"
            raise self.table.error(self.row_T[-1], f"too many gaps{self._whose}: {why}")
        if missing_T[0] and how != "zero":
            raise self.table.error(self.row_T[0], f"no value{self._whose} before this gap; --fill {how} needs one")
        if missing_T[-1] and how == "linear":
            raise self.table.error(self.row_T[-1], f"no value{self._whose} after this gap; --fill {how} needs one")

    @property
    def _whose(self) -> str:
        return f" of series {self.name!r}" if self.columns.id is not None else ""

    def _row(self, at: int) -> int:
        return self.table.row(int(self.row_T[at]))
