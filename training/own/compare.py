"""`python -m training compare FILE`: forecasts of your own series by methods that need no training, side by side."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from model.series.gaps import Fill
from training.checks import check_folder
from training.own.backtest import errors_of, evenly, forecasts
from training.own.data import read_own
from training.own.forecasters import any_series, served, simple, statistical
from training.own.options import require_backtest
from training.own.picture import picture
from training.own.verdict import NAIVE, caution, counted, horizon_line, ranked, season_line, table
from training.report import save_figure

MOST_SLOW = 100
"""Number of forecasts by statsforecast's methods, at most: each is a fit."""

PICTURE = "compare.png"


@dataclass(frozen=True)
class Compare:
    """Compare forecasts of your own series by methods that need no training: seasonal naive, the last value, an
    autoregression, the model `any`, and AutoETS, AutoTheta and AutoCES where statsforecast is installed.
    """

    data: tyro.conf.Positional[Path]
    """CSV or Parquet file with your series, as for `python -m training --data`."""

    season: int | None = None
    """Number of values after which the series repeat, 1 for none. By default it is found."""

    horizon: int | None = None
    """Number of values to forecast at once. By default the season says it."""

    column: str | None = None
    """Name of the column of values. The default is `y`, or the only column."""

    time: str | None = None
    """Name of the column of times. The default is `ds` if the file has it."""

    id: str | None = None
    """Name of the column that names the series of each row. The default is `unique_id` if the file has it."""

    fill: Fill | None = None
    """Values that close gaps. A gap is an error without this option."""

    origins: int = 10
    """Number of places in the held-out part of each series that are forecast from, evenly spread, at least 1."""

    runs: Path = Path("runs")
    """Directory of the plot: RUNS/compare.png."""

    def __post_init__(self) -> None:
        require_backtest(self.season, self.horizon, self.origins)


def compare(options: Compare) -> None:
    """Print the table of errors, and draw the forecasts of one series.

    Raises:
        ArtifactError: the model `any` cannot be used.
        ValueError: the file or an option is not usable.
    """
    own = read_own(
        options.data, options.column, options.time, options.id, options.fill, options.season, options.horizon
    )
    check_folder("runs", options.runs)
    console = Console(highlight=False)
    for note in own.notes:
        console.print(note, soft_wrap=True)
    _, runtime = any_series()
    slow = statistical(own.season)
    trials = own.trials(options.origins)
    if slow:
        trials = evenly(trials, max(1, MOST_SLOW // options.origins))
    forecasters = {"any": served(runtime, own.told)} | simple(own.season) | slow
    made = {name: forecasts(forecaster, trials, own.horizon) for name, forecaster in forecasters.items()}
    errors = {name: errors_of(trials, each, made[NAIVE], own.season) for name, each in made.items()}
    count = sum(len(one.origins) for one in trials)
    title = f"{counted(count, 'forecast')} of the last fifth of {len(trials)} series:"
    print(f"\n{table(errors, title)}\n")
    console.print(season_line(own.season, own.found), soft_wrap=True)
    console.print(horizon_line(own.horizon, own.season), soft_wrap=True)
    if few := caution(count):
        console.print(few, soft_wrap=True)
    console.print(f"best: {ranked(errors)[0]}")
    save_figure(picture(trials[-1], forecasters, own.horizon), options.runs / PICTURE)
    console.print(f"wrote {options.runs / PICTURE}", soft_wrap=True)
