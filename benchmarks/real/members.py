"""The model that `python -m training --data` fits to a series: `any` with members.

It is fitted once to each series, to what is before its first origin, and then forecasts from all of its origins.

Shape suffixes: T time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

import model.members
import training.own
from benchmarks.real.forecasts import Forecast
from benchmarks.real.served import Served
from model.artifact import Artifact
from model.season import LONGEST_SEASON, find_season
from training.data import Floats
from training.own.choice import choose
from training.own.fitting import calibrate, fitted_model
from training.own.forecasters import any_series, served
from training.own.members import usable


class WithMembers:
    """The forecasts of a model fitted to the series itself."""

    name = "any with members"

    def __init__(self) -> None:
        self._any, self._runtime = any_series()
        self._seen: tuple[int, int, Floats] = (0, 0, np.empty(0))
        self._model: Served | None = None

    @property
    def version(self) -> str:
        """Return a digest of `any` and of the code that chooses and fits."""
        hashed = hashlib.sha256(self._any.digest.encode())
        for package in (training.own, model.members):
            for path in sorted(Path(package.__path__[0]).glob("*.py")):
                hashed.update(path.read_bytes())
        return hashed.hexdigest()

    def forecast(self, past_T: Floats, season: int, horizon: int) -> Forecast:
        """Return the forecast that the service would answer with."""
        season = season if season <= LONGEST_SEASON else find_season(past_T)
        of_season, of_horizon, seen_T = self._seen
        begins_alike = len(seen_T) > 0 and np.array_equal(past_T[: len(seen_T)], seen_T)
        if self._model is None or (of_season, of_horizon) != (season, horizon) or not begins_alike:
            self._model = self._fitted(past_T, season, horizon)
            self._seen = (season, horizon, past_T)
        return self._model.forecast(past_T, season, horizon)

    def _fitted(self, past_T: Floats, season: int, horizon: int) -> Served:
        choice = usable(choose([past_T], season, horizon, served(self._runtime, season)), [past_T])
        fitted = fitted_model(self._any, choice, [past_T])
        made = calibrate(self._any, choice, [past_T], season, horizon, lambda folds: folds)
        intervals, about = None, fitted.about
        if made:
            intervals, calibration, fitting = made
            about = about.model_copy(update={"intervals": calibration, "fit": fitting})
        artifact = Artifact(b"", self.version, about, self._any.golden, intervals)
        return Served(self.name, self.version, artifact, fitted.runtime, told=True)
