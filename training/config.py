"""The settings of a training run, and the presets. The command line is made from this class.

A docstring of several lines breaks between sentences: `--help` shows it with the same lines.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff

from model.metadata import Architecture, CellKind
from training.data import Waves

Preset = Literal["default", "article", "series"]
LARGEST_FINISH = 6000


@dataclass(frozen=True)
class Config:
    """Train a recurrent network on sine waves or your own series, export it to TorchScript, report its errors.

    `python -m training evaluate` measures an artifact again, `python -m training card` writes its model card."""

    preset: Preset = "default"
    """What all other options start from: `default` is the model that ships.
    `article` is the article's experiment: one sine curve, windows of 50 points. It is all least squares, no Adam.
    `series` is for your own series, and chosen where `data` is given."""

    name: str = "sine"
    """Name of the model, and of its directory of reports."""

    version: str = "0.2.0"
    """Version of the model; a new one for every change of its weights."""

    output: Path = Path("model/artifacts/sine.pt")
    """The artifact to write; its digest is written beside it."""

    runs: Path = Path("runs")
    """Directory of reports: plots and errors are written to RUNS/NAME/."""

    tensorboard: Path | None = None
    """Directory to write TensorBoard's logs to: losses, rollout error and horizon after each epoch."""

    resume: FlagCreatePairsOff[bool] = False
    """Go on after the last epoch of a run with the same settings that was killed or interrupted.
    The artifact is then the same, to the last bit, as that of a run that never stopped."""

    waves: Waves = field(default_factory=lambda: Waves(period=(8.0, 64.0), amplitude=(1e-3, 1e3)))
    """The waves to learn, unless `data` is given."""

    data: Path | None = None
    """Your own series, a CSV or Parquet file: one column of numbers, or one series with times, or many in long form.
    A column `unique_id` names the series that a row is of. Times have to be evenly spaced."""

    column: str | None = None
    """The column of values; by default `y`, or the only one."""

    time: str | None = None
    """The column of times; by default `ds` where there is one. Without times, rows are taken as evenly spaced."""

    season: int | None = None
    """Season of the baseline that repeats it, at least 1; by default found by autocorrelation."""

    cell: CellKind = "gru"
    """Recurrent cell: `rnn` (tanh), `gru` or `lstm`, with about one, four and five times the cost of a step."""

    hidden: int = 36
    """Hidden units of each layer, at least 1."""

    layers: int = 1
    """Recurrent layers, at least 1."""

    input_gain: float = 1.0
    """Initial size of the input weights, as a fraction of PyTorch's own. More than 0."""

    recurrent_gain: float = 1.0
    """Initial gain of the recurrent weights, which begin orthogonal. More than 0.
    At 1 the network begins with a long memory, below it forgets its zero state within the window."""

    epochs: int = 0
    """Epochs with Adam, at least 0. The held-out error is measured, and the best weights are kept, after each."""

    batches: int = 50
    """Batches in an epoch, at least 1. Every epoch draws new windows."""

    batch: int = 128
    """Windows in a batch, at least 1."""

    context: tuple[int, int] = (48, 96)
    """Values in a window, shortest and longest; each batch draws one length."""

    context_evaluated: int = 64
    """Values that the model is given where its errors are measured, at least 4."""

    settle: int = 32
    """First values of a window, after which predictions do not count in the one-step loss. Less than a window.
    The network starts from a zero state and has to see some of the wave first."""

    horizon: tuple[int, int] = (8, 100)
    """Steps of the closed loop in the loss, at first and at most.
    It grows by a tenth after every epoch whose closed-loop loss was small."""

    grow_below: float = 5e-3
    """Closed-loop loss, a mean square in units of the scale, under which the horizon grows. More than 0."""

    closed_loop: float = 0.05
    """Weight of the closed-loop loss beside the one-step loss; 0 trains the one-step loss alone."""

    learning_rate: float = 2e-3
    """Adam's learning rate at its highest.
    It rises over the first 2 % of the batches and falls along a cosine to a thousandth."""

    clip: float = 0.3
    """Largest norm of a gradient; longer ones are shortened to it. More than 0."""

    noise: float = 3e-3
    """Standard deviation of the noise added to the inputs, as a fraction of the scale; falls to 0 along a cosine.
    It teaches the network to come back to the wave after small errors, which its own rollouts will make."""

    steps_evaluated: int = 100
    """Steps of the held-out rollouts whose error chooses the best weights, at least 1."""

    finish: int = 15
    """Levenberg-Marquardt iterations at each of the finish's horizons, after the last epoch, at least 0.
    Each is shown and measured as an epoch."""

    finish_horizons: tuple[int, ...] = (1, 1, 8, 32, 32, 100, 100, 300, 300, 100, 100, 100, 100, 100)
    """Steps of the closed loop in the finish, one number for each of its stages, each at least 1."""

    finish_contexts: tuple[int, ...] = (64, 64, 96, 64, 48, 64, 128, 32, 64, 80, 20)
    """Values that the waves of the finish are given, one number for each chunk of rows in turn, each at least 2."""

    finish_rows: int = 7000
    """Waves in a stage of the finish, at least 1, each with one step of its rollout; rounded up to chunks of 400.
    About twice as many as the network has weights."""

    finish_noisy: float = 0.5
    """Part of the finish's waves that are given with noise, from 0 to 1.
    What follows them is then what the sine would do that fits them best: all that can be known of it."""

    interval_rollouts: int = 40_000
    """Rollouts on unseen windows that prediction intervals are calibrated on, at least 0. 0 for no intervals.
    As many again show how often they hold."""

    interval_horizon: int = 256
    """Steps up to which there are intervals, at least 1."""

    interval_contexts: tuple[int, ...] = (16, 32, 64)
    """Numbers of given values that are calibrated, ascending, each at least 1.
    A sequence takes the longest that is not longer than itself."""

    seed: int = 0
    """Seed of weights, windows and noise, at least 0. The same seed on the same machine gives the same weights."""

    threads: int = 1
    """Threads that torch computes with, at least 1. A network this small gains nothing from a second one."""

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "batches", "batch", "steps_evaluated", "finish_rows", "threads"):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("context", "horizon"):
            low, high = getattr(self, name)
            _require(1 <= low <= high, name, "two integers of at least 1, the smaller one first", f"{low} {high}")
        for name in ("learning_rate", "clip", "grow_below", "input_gain", "recurrent_gain"):
            value = getattr(self, name)
            _require(0 < value < math.inf, name, "a finite number above 0", value)
        for name in ("closed_loop", "noise"):
            value = getattr(self, name)
            _require(0 <= value < math.inf, name, "a finite number of at least 0", value)
        _require(self.context_evaluated >= 4, "context-evaluated", "at least 4", self.context_evaluated)
        _require(
            0 <= self.settle < self.context[0], "settle", f"0 to {self.context[0] - 1}, less than context", self.settle
        )
        _require(self.epochs >= 0, "epochs", "at least 0", self.epochs)
        _require(self.finish >= 0, "finish", "at least 0", self.finish)
        _require(self.data is None or self.finish == 0, "finish", "0 on your own series", self.finish)
        _require(self.season is None or self.season >= 1, "season", "at least 1", self.season)
        _require(self.epochs + self.finish > 0, "epochs", "at least 1 where finish is 0", self.epochs)
        _require(
            min(self.finish_contexts, default=0) >= 2,
            "finish-contexts",
            "integers of at least 2",
            self.finish_contexts,
        )
        _require(
            min(self.finish_horizons, default=0) >= 1, "finish-horizons", "integers of at least 1", self.finish_horizons
        )
        _require(
            self.finish == 0 or self.architecture.parameters <= LARGEST_FINISH,
            "finish",
            f"0 (and epochs more) for more than {LARGEST_FINISH} weights, since its time grows as their cube",
            f"{self.finish} for {self.architecture.parameters}",
        )
        _require(0 <= self.finish_noisy <= 1, "finish-noisy", "from 0 to 1", self.finish_noisy)
        _require(self.interval_rollouts >= 0, "interval-rollouts", "at least 0", self.interval_rollouts)
        _require(self.interval_horizon >= 1, "interval-horizon", "at least 1", self.interval_horizon)
        _require(
            min(self.interval_contexts, default=0) >= 1
            and list(self.interval_contexts) == sorted(set(self.interval_contexts)),
            "interval-contexts",
            "integers of at least 1, ascending",
            self.interval_contexts,
        )
        _require(self.seed >= 0, "seed", "at least 0", self.seed)
        _require(
            bool(self.name) and self.name == Path(self.name).name, "name", "a name without slashes", repr(self.name)
        )

    @property
    def architecture(self) -> Architecture:
        return Architecture(cell=self.cell, hidden=self.hidden, layers=self.layers)


def _require(holds: bool, name: str, allowed: str, given: object) -> None:
    if not holds:
        raise ValueError(f"{name.replace('_', '-')} must be {allowed}, not {given}")


PRESETS: dict[Preset, Config] = {
    "default": Config(),
    "article": Config(
        preset="article",
        name="article",
        output=Path("runs/article/article.pt"),
        waves=Waves(period=(40.0, 40.0), amplitude=(1.0, 1.0)),
        cell="rnn",
        hidden=32,
        # One curve in 50 points is remembered best by a network that is nearly linear and forgets its zero state.
        input_gain=0.1,
        recurrent_gain=0.8,
        epochs=0,
        context=(50, 50),
        context_evaluated=50,
        steps_evaluated=1000,
        finish=25,
        finish_horizons=(1, 16, 100, 400),
        finish_contexts=(50,),
        interval_contexts=(50,),
        finish_rows=1200,
        finish_noisy=0.0,
    ),
    "series": Config(
        preset="series",
        name="series",
        output=Path("runs/series/series.pt"),
        cell="rnn",
        hidden=16,
        epochs=30,
        batch=64,
        context=(48, 48),
        context_evaluated=48,
        settle=16,
        horizon=(24, 24),
        closed_loop=1.0,
        noise=0.3,  # real series are few and short: without it a network learns them by heart
        finish=0,
        interval_rollouts=1000,
        interval_contexts=(48,),
    ),
}
