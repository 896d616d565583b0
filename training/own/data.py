"""Your series, their season, and the number of values to forecast at once.

Shape suffixes: N values of a series.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.season import find_season
from model.series.gaps import Fill
from model.series.table import SeriesError
from training.data import Floats
from training.own.backtest import Trial, evenly, trials
from training.own.regressions import inner_season
from training.series import digest, read, split

FEWEST = 8
"""A shorter series is left out."""

MOST_SEARCHED = 100
"""Number of series that the season is looked for in, at most."""

ROOM = 2.5
"""Number of seasons that a series has to be long before it votes against one."""

LONGEST_HORIZON = 30
"""Longest default of the horizon, unless a day has more steps."""


@dataclass(frozen=True)
class OwnSeries:
    """The series of a file that a model can be fitted to."""

    values: dict[str, Floats]
    season: int
    """The season in steps, 1 for none."""

    found: bool
    """True if the season was found in the values, and not told."""

    horizon: int
    notes: list[str]
    """Sentences: what was left out, and what had to be smaller than by default."""

    @property
    def told(self) -> int | None:
        """Return the season if it was told. Otherwise the service finds that of each series, where `any` serves it."""
        return None if self.found else self.season

    @property
    def known(self) -> dict[str, int]:
        """Return the number of values of each series before its held-out part."""
        return {name: held_out_from(len(x_N)) for name, x_N in self.values.items()}

    @property
    def known_values(self) -> list[Floats]:
        """Return each series without its held-out part."""
        return [x_N[: held_out_from(len(x_N))] for x_N in self.values.values()]

    @property
    def digest(self) -> str:
        """Return the sha256 of the series, in hexadecimal."""
        return digest(self.values)

    def trials(self, origins: int) -> list[Trial]:
        """Return the series that can be measured, with at most so many origins each."""
        return trials(self.values, self.known, self.horizon, origins)


def held_out_from(length: int) -> int:
    """Return the number of values before the held-out part of a series."""
    return split(length)[2][0]


def read_own(
    path: Path,
    column: str | None,
    time: str | None,
    id: str | None,
    fill: Fill | None,
    season: int | None,
    horizon: int | None,
) -> OwnSeries:
    """Read a file of series, and find the season and the horizon that it allows.

    Raises:
        SeriesError: the file is not usable, all series are too short, or none changes.
    """
    every = read(path, column, time, id, fill, at_least=1)
    values = {name: x_N for name, x_N in every.items() if len(x_N) >= FEWEST}
    if not values:
        raise SeriesError(f"{path}: no series has {FEWEST} values; so many are needed")
    if not any(np.ptp(x_N) > 0 for x_N in values.values()):
        raise SeriesError(f"{path}: no series changes: there is nothing to forecast")
    notes = [f"left out {len(every) - len(values)} series of fewer than {FEWEST} values"] * (len(every) > len(values))
    lengths = sorted(map(len, values.values()))
    found = season is None
    season = common_season(values) if season is None else season
    # The held-out part of most series has to hold a forecast.
    allowed = max(1, max(lengths[len(lengths) // 2], lengths[-1] if len(lengths) == 1 else 0) // 5)
    longest = max(1, lengths[-1] - held_out_from(lengths[-1]))
    if horizon is None:
        wished = usual_horizon(season)
        horizon = min(wished, allowed)
        if horizon < wished:
            notes.append(f"the horizon is {horizon} instead of {wished}: the held-out parts are no longer than that")
    elif horizon > longest:
        raise SeriesError(
            f"{path}: the held-out part is the last fifth, which has {longest} values of the longest series: "
            f"horizon must be at most {longest}, not {horizon}"
        )
    return OwnSeries(values, season, found, horizon, notes)


def common_season(values: Mapping[str, Floats]) -> int:
    """Return the season that is found in most series before their held-out part, 1 for none.

    Only series with room for a season vote against it: a product of a few months says nothing of the year.
    """
    longest = sorted(values.values(), key=len, reverse=True)
    searched = [x_N[: held_out_from(len(x_N))] for x_N in evenly(longest, MOST_SEARCHED)]
    votes = [(find_season(x_N), len(x_N)) for x_N in searched]
    for season, _ in Counter(season for season, _ in votes if season > 1).most_common():
        with_room = Counter(vote for vote, length in votes if vote == season or length >= ROOM * season)
        if with_room[season] == max(with_room.values()):
            return season
    return 1


def usual_horizon(season: int) -> int:
    """Return the default of the horizon: a season, two short ones, or a day of a week."""
    if season == 1:
        return 10
    day = inner_season(season)
    return day if day > 1 else 2 * season if season < 8 else min(season, LONGEST_HORIZON)
