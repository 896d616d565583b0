"""The options of a run of bulk forecasts, apart from its files."""

from dataclasses import asdict, dataclass
from pathlib import Path

from model import DEFAULT_ARTIFACT
from model.artifact import ArtifactMissing
from model.intervals import Intervals, NoInterval
from model.series.gaps import Fill
from model.series.panel import Choice

MOST_STEPS = 10_000_000
"""The most steps that are forecast for a series, from all origins together."""


@dataclass(frozen=True)
class Options:
    """The options that decide the bytes of a part."""

    horizon: int
    level: tuple[int, ...] = ()
    column: str | None = None
    time: str | None = None
    id: str | None = None
    fill: Fill | None = None
    backtest: int = 0
    """The number of rolling origins; 0 for forecasts of the future."""

    strict: bool = False
    """True if a series that cannot be forecast is an error."""

    @property
    def ids(self) -> str | None:
        """The name of the column of ids, if the file has one."""
        return Choice(self.column, self.time, self.id).ids

    def described(self) -> dict[str, object]:
        """Return the options for a manifest. `strict` changes no byte of a part that is written."""
        return {name: value for name, value in asdict(self).items() if name != "strict"} | {"level": list(self.level)}


class WrongOption(ValueError):
    """An option cannot be used. The message says which one, and what is allowed."""


def check(options: Options, intervals: Intervals | None) -> None:
    """Raise WrongOption if no series can be forecast with these options by a model with these intervals."""
    if options.horizon < 1:
        raise WrongOption("--horizon: at least 1")
    if options.backtest < 0:
        raise WrongOption("--backtest: the number of origins, at least 1")
    if options.horizon * max(options.backtest, 1) > MOST_STEPS:
        if options.horizon > MOST_STEPS:
            raise WrongOption(f"--horizon: at most {MOST_STEPS:,}")
        raise WrongOption(f"--backtest: with this --horizon, at most {MOST_STEPS // options.horizon:,} origins")
    if not options.level:
        return
    if intervals is None:
        raise WrongOption("--level: this model has no intervals")
    if not all(1 <= level <= 99 for level in options.level):
        raise WrongOption("--level: whole numbers of per cent, from 1 to 99")
    try:
        intervals.check(intervals.contexts[0], options.horizon, options.level)
    except NoInterval as error:
        option = {"steps": "--horizon", "level": "--level"}[error.field]
        raise WrongOption(f"{option}: {error}") from None


def artifact_path(model: str) -> Path:
    """Return the artifact of a model: a path that ends in .pt, or the name of a model that ships.

    Raises:
        ArtifactMissing: no model that ships has this name.
    """
    if model.endswith(".pt"):
        return Path(model)
    shipped = {path.stem: path for path in sorted(DEFAULT_ARTIFACT.parent.glob("*.pt"))}
    if model not in shipped:
        raise ArtifactMissing(f"--model: {model!r} is neither {', '.join(shipped)} nor the path of an artifact (.pt)")
    return shipped[model]
