"""A model of this project, as the service runs it: its artifact, through the runtime.

Shape suffixes: T time, S steps, Q quantiles.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.real.forecasts import LEVELS, Forecast, Forecaster, Refused, from_intervals
from model.artifact import Artifact, ArtifactError, read_artifact
from model.fit import fit_of
from model.intervals import NoInterval
from model.runtime.base import Runtime, State
from model.runtime.select import open_runtime
from model.season import LONGEST_SEASON, find_season
from training.data import Floats

LONGEST = 4096
"""The service takes so many values by default. A forecast uses the last ones."""


def served(path: Path) -> list[Forecaster]:
    """Return the forecasters of an artifact.

    Raises:
        Refused: this version cannot serve the artifact.
    """
    try:
        artifact = read_artifact(path)
        runtime = open_runtime(artifact, "cpu", "fused").runtime
    except ArtifactError as error:
        raise Refused(str(error)) from error
    version = hashlib.sha256(path.read_bytes()).hexdigest()
    found = Served(path.stem, version, artifact, runtime, told=False)
    if artifact.metadata.architecture.inputs == "value":
        return [found]
    return [Served(f"{path.stem}, season told", version, artifact, runtime, told=True), found]


class Served:
    """An artifact as a forecaster."""

    def __init__(self, name: str, version: str, artifact: Artifact, runtime: Runtime, told: bool) -> None:
        """`told` says whether the model is told the season of a series, or has to find it."""
        self.name = name
        self.version = version
        self._artifact = artifact
        self._runtime = runtime
        self._told = told
        self._seasonal = artifact.metadata.architecture.inputs == "anchors"

    def forecast(self, past_T: Floats, season: int, horizon: int) -> Forecast:
        """Return the forecast that the service would answer with. Only a network with anchors uses the season."""
        given_T = past_T[-LONGEST:]
        if not self._seasonal:
            season = 1
        elif not self._told or season > LONGEST_SEASON:
            season = find_season(given_T)
        [state] = self._runtime.encode([given_T.tolist()], [self._runtime.start(given_T.tolist(), season)])
        [values_S], _ = self._runtime.rollout([state], horizon)
        values_S = values_S.astype(np.float64)
        return Forecast(values_S, self._quantiles(state, values_S, len(given_T)))

    def _quantiles(self, state: State, values_S: Floats, context: int) -> Floats | None:
        """Return the ends of the intervals, None where the service would refuse to give intervals."""
        about, intervals = self._artifact.metadata, self._artifact.intervals
        if intervals is None:
            return None
        try:
            intervals.check(context, len(values_S), LEVELS)
        except NoInterval:
            return None
        fit = fit_of(about.fit.expectations, state) if about.fit else None
        return from_intervals(values_S, intervals.around(values_S, fit, state, context, LEVELS))
