"""Rolling origins: the last 20 % of a series are tested, from at most 10 evenly spaced origins.

A forecaster sees all values before an origin (Tashman, "Out-of-sample tests of forecasting accuracy", *Int. J.
Forecasting* 16(4), 2000). Forecasts are stored as soon as they are made, so a benchmark that was stopped goes on where
it was, and a later one makes only those forecasts that have changed.

Shape suffixes: T time, O origins, S steps, Q quantiles.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real.forecasts import Forecast, Forecaster
from benchmarks.real.measures import Measured, measure
from benchmarks.real.registry import RealSeries
from training.data import Floats

TESTED, MOST_ORIGINS = 0.2, 10


@dataclass(frozen=True)
class Made:
    """A forecast, and the processor time that it took in seconds, fitting included."""

    forecast: Forecast
    seconds: float


def origins(length: int, horizon: int) -> list[int]:
    """Return the numbers of values before each origin, ascending.

    Raises:
        ValueError: the tested part is shorter than the horizon.
    """
    known = length - int(length * TESTED)
    if known + horizon > length:
        raise ValueError(f"{length} values are too few to test {horizon} steps")
    evenly = np.linspace(known, length - horizon, MOST_ORIGINS)
    return [int(origin) for origin in np.unique(evenly.round())]


def forecasts(series: RealSeries, values_T: Floats, forecaster: Forecaster, folder: Path) -> list[Made]:
    """Return the forecasts of a series from each of its origins. `folder` keeps them.

    Raises:
        Refused: the forecaster does not forecast this series.
    """
    path = kept_in(folder, forecaster.name) / f"{series.name}.json"
    kept = _kept(path, {"version": forecaster.version, "series": _digest(series, values_T)})
    origin_O = origins(len(values_T), series.horizon)
    for origin in origin_O:
        if str(origin) not in kept["forecasts"]:
            begun = time.process_time()
            forecast = forecaster.forecast(values_T[:origin].copy(), series.season, series.horizon)
            kept["forecasts"][str(origin)] = {
                "seconds": time.process_time() - begun,
                "values": forecast.values_S.tolist(),
                "quantiles": None if forecast.quantiles_SQ is None else forecast.quantiles_SQ.tolist(),
            }
            _keep(path, kept)
    return [_made(kept["forecasts"][str(origin)]) for origin in origin_O]


def measured(series: RealSeries, values_T: Floats, made_O: list[Forecast]) -> Measured:
    """Return the errors of the forecasts from all origins of a series.

    Raises:
        ValueError: the values before the first origin have no scale, see `measure`.
    """
    origin_O = origins(len(values_T), series.horizon)
    truth_OS = np.stack([values_T[origin : origin + series.horizon] for origin in origin_O])
    values_OS = np.stack([forecast.values_S for forecast in made_O])
    quantiles = [forecast.quantiles_SQ for forecast in made_O if forecast.quantiles_SQ is not None]
    quantiles_OSQ = np.stack(quantiles) if len(quantiles) == len(made_O) else None
    return measure(values_T[: origin_O[0]], series.season, truth_OS, values_OS, quantiles_OSQ)


def _made(entry: dict[str, Any]) -> Made:
    quantiles_SQ = None if entry["quantiles"] is None else np.array(entry["quantiles"])
    return Made(Forecast(np.array(entry["values"]), quantiles_SQ), float(entry["seconds"]))


def _kept(path: Path, key: dict[str, str]) -> dict[str, Any]:
    """Return what is stored for this key, with no forecasts if the file is of another one."""
    if path.exists():
        stored: dict[str, Any] = json.loads(path.read_text())
        if stored["key"] == key:
            return stored
    return {"key": key, "forecasts": {}}


def _keep(path: Path, kept: dict[str, Any]) -> None:
    """Write the file such that it is whole at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")  # another command may write the same file
    part.write_text(json.dumps(kept))
    os.replace(part, path)


def kept_in(folder: Path, forecaster: str) -> Path:
    """Return the folder inside `folder` that keeps the forecasts of one forecaster."""
    return folder / re.sub(r"[^\w.-]+", "-", forecaster)


def _digest(series: RealSeries, values_T: Floats) -> str:
    about = f"season {series.season}, horizon {series.horizon}: ".encode()
    return hashlib.sha256(about + values_T.tobytes()).hexdigest()
