"""The tables of `benchmarks/series.py`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.real.measures import Measured, geometric_mean, ratio
from benchmarks.real.naive import SEASONAL_NAIVE
from benchmarks.real.registry import RealSeries
from benchmarks.report import Table, number


@dataclass(frozen=True)
class Result:
    """The errors of one forecaster on one series, and the processor time of a forecast in seconds."""

    measured: Measured
    seconds: float
    values: int
    """Length of the series."""


Results = Mapping[str, Mapping[str, Result]]
"""The results by forecaster and series. A series is missing where a forecaster has refused it."""


def totals_table(results: Results, every: Sequence[RealSeries]) -> Table:
    """Tabulate each forecaster over these series.

    The first four numbers are geometric means of errors relative to seasonal naive. MASE, RMSSE and the share inside
    the intervals of 80 % are means. The time is the median over the series.
    """
    columns = [
        "",
        "MAE",
        "RMSE",
        "next value",
        "quantile loss",
        "80 % hold",
        "MASE",
        "RMSSE",
        "worst MAE",
        "ahead",
        "s",
    ]
    rows = []
    naive = results[SEASONAL_NAIVE.name]
    for name, of in results.items():
        names = [series.name for series in every if series.name in of]
        if not names:
            continue
        mine, base = ([by[series].measured for series in names] for by in (of, naive))
        pairs = list(zip(mine, base, strict=True))
        mae_N = [ratio(one.mae, other.mae) for one, other in pairs]
        loss_N = [
            ratio(one.quantile_loss, other.quantile_loss)
            for one, other in pairs
            if one.quantile_loss is not None and other.quantile_loss is not None
        ]
        inside_N = [one.inside_80 for one in mine if one.inside_80 is not None]
        rows.append(
            [
                name,
                three(geometric_mean(mae_N)),
                three(geometric_mean(ratio(one.rmse, other.rmse) for one, other in pairs)),
                three(geometric_mean(ratio(one.next_value, other.next_value) for one, other in pairs)),
                three(geometric_mean(loss_N)) if len(loss_N) == len(names) else "",
                f"{100 * statistics.mean(inside_N):.1f}" if len(inside_N) == len(names) else "",
                three(statistics.mean(one.mase for one in mine)),
                three(statistics.mean(one.rmsse for one in mine)),
                three(max(mae_N)),
                f"{sum(value < 1 for value in mae_N)} of {len(names)}",
                number(statistics.median(of[series].seconds for series in names)),
            ]
        )
    return Table(columns, rows)


def series_table(results: Results, every: Sequence[RealSeries]) -> Table:
    """Tabulate the MAE of each forecaster relative to seasonal naive on each of these series, losses included."""
    naive = results[SEASONAL_NAIVE.name]
    rivals = [name for name in results if name != SEASONAL_NAIVE.name]
    rows = []
    for series in every:
        base = naive[series.name]
        cells = [
            three(ratio(results[name][series.name].measured.mae, base.measured.mae))
            if series.name in results[name]
            else ""
            for name in rivals
        ]
        rows.append([series.name, f"{base.values:,}", str(series.season), str(series.horizon), *cells])
    return Table(["series", "values", "season", "steps", *rivals], rows)


def three(value: float) -> str:
    """Format a relative error with three decimals, so that close ones can be told apart."""
    return f"{value:.3f}"
