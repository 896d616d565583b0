"""The options of `python -m training --data FILE`. The command line is made from the class `Own`.

The docstrings of its fields are the text of `--help`, which shows the same lines.
"""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import FlagCreatePairsOff

from model.season import LONGEST_SEASON
from model.series.gaps import Fill
from training.config import require, require_names


def require_backtest(season: int | None, horizon: int | None, origins: int) -> None:
    """Raise SettingError for a season, a horizon or a number of origins that no backtest can have."""
    require(season is None or 1 <= season <= LONGEST_SEASON, "season", f"1 to {LONGEST_SEASON}", season)
    require(horizon is None or 1 <= horizon <= 10_000, "horizon", "1 to 10,000", horizon)
    require(1 <= origins <= 1000, "origins", "1 to 1,000", origins)


@dataclass(frozen=True)
class Own:
    """Fit a model to your own series, measure it beside baselines, and say whether it is worth serving.

    The model is `any` with members fitted to the file beside it. `python -m training compare FILE` fits nothing, and
    compares baselines in seconds. `--cell rnn`, `gru` or `lstm` trains a network on the file instead, which takes
    minutes and is worse as a rule. `python -m training --cell gru --data FILE --help` lists its options.
    """

    data: Path
    """CSV or Parquet file with your series: one column of numbers, one series with times, or many in long form.
    In long form, the column `unique_id` names the series that each row belongs to. Times must be evenly spaced.
    """

    season: int | None = None
    """Number of values after which the series repeat: 12 for months, 7 for days, 1 for none. By default it is found."""

    horizon: int | None = None
    """Number of values to forecast at once. By default the season says it: 12 for months, 24 for hours."""

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

    refit: bool = True
    """Fit the members to all values before the model is written. Its errors are measured before that.
    With `--no-refit` the model that is written has never seen the held-out part.
    """

    name: str = "series"
    """Name of the model and of its directory RUNS/NAME/. A directory has one run at a time."""

    version: str = "1"
    """Version of the model."""

    output: Path | None = None
    """Path of the artifact to write. By default it is RUNS/NAME/NAME.pt. Its digest is written beside it."""

    overwrite: FlagCreatePairsOff[bool] = False
    """Replace an artifact that another run has written. It is replaced last, after the new one has been verified."""

    runs: Path = Path("runs")
    """Directory of all runs. The plot and the errors are written to RUNS/NAME/."""

    def __post_init__(self) -> None:
        require_backtest(self.season, self.horizon, self.origins)
        require_names(self.name, self.version)

    @property
    def directory(self) -> Path:
        """Return the directory of the run's reports."""
        return self.runs / self.name

    @property
    def artifact(self) -> Path:
        """Return the path of the artifact that the run writes."""
        return self.output or self.directory / f"{self.name}.pt"
