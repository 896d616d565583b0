"""The settings of a training run, and the presets. The command line is made from the class `Config`.

The docstrings of its fields are the text of `--help`. A docstring of several lines breaks between sentences, because
`--help` shows the same lines.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff

from model.metadata import Architecture, CellKind, InputKind
from model.series.gaps import Fill
from training.data import Waves

Preset = Literal["default", "article", "series", "any"]
LARGEST_FINISH = 6000
LARGEST_COUNT = 10**9
LARGEST_SEED = 2**63 - 1  # torch takes no larger one


class SettingError(Exception):
    """A setting is not allowed. The message names it and says what is allowed.

    It is no ValueError, because tyro would print one in a box of several lines.
    """


@dataclass(frozen=True)
class Config:
    """Train a recurrent network on sine waves or your own series, export it to TorchScript, and report its errors.

    `python -m training evaluate` measures an artifact again, and `python -m training card` writes its model card.
    `python -m training export` writes it again for the torch that is installed.
    """

    preset: Preset = "default"
    """The preset sets the defaults of all other options. `default` trains the model that ships.
    `article` repeats the article's experiment: one sine curve, windows of 50 points, Adam, and then least squares.
    `series` trains a network on your own series; `--data` with `--cell` selects it unless `--preset` is given.
    `any` trains a model for any series, on synthetic series alone.
    """

    name: str = "sine"
    """Name of the model and of its directory RUNS/NAME/. A directory has one run at a time."""

    version: str = "0.3.0"
    """Version of the model. Choose a new one whenever its weights change."""

    output: Path | None = None
    """Path of the artifact to write. By default it is RUNS/NAME/NAME.pt. Its digest is written beside it."""

    overwrite: FlagCreatePairsOff[bool] = False
    """Replace an artifact that another run has written. It is replaced last, after the new one has been verified."""

    runs: Path = Path("runs")
    """Directory of all runs. Plots, errors and the checkpoint are written to RUNS/NAME/."""

    tensorboard: Path | None = None
    """Directory to write TensorBoard logs to: losses, rollout error and horizon after each epoch."""

    resume: FlagCreatePairsOff[bool] = False
    """Continue a run that was killed or interrupted, after its last complete epoch. The settings must be the same.
    The resulting artifact is bit-identical to that of an uninterrupted run.
    """

    waves: Waves = field(
        default_factory=lambda: Waves(period=(8.0, 64.0), amplitude=(1e-3, 1e3), level=(-100.0, 100.0))
    )
    """Sine waves to learn, unless `--data` or `--inputs anchors` is given."""

    data: Path | None = None
    """CSV or Parquet file with your own series: one column of numbers, one series with times, or many in long form.
    In long form, the column `unique_id` names the series that each row belongs to. Times must be evenly spaced.
    The file may be a pipe.
    """

    column: str | None = None
    """Name of the column of values. The default is `y`, or the only column."""

    time: str | None = None
    """Name of the column of times. The default is `ds` if the file has it.
    Without times, the rows are assumed to be evenly spaced.
    """

    id: str | None = None
    """Name of the column that names the series of each row. The default is `unique_id` if the file has it."""

    fill: Fill | None = None
    """Values that close gaps: `previous` repeats the last value, `linear` joins its neighbours by a line.
    A gap is an error without this option.
    """

    season: int | None = None
    """Season of the seasonal naive baseline, in steps, at least 1. By default autocorrelation finds it."""

    inputs: InputKind = "value"
    """Inputs of the network: `value` is the last value, `anchors` are forecasts of simple methods, which it mixes.
    With anchors it learns from synthetic series of many kinds and seasons, and has no finish.
    """

    cell: CellKind = "gru"
    """Recurrent cell: `rnn` (tanh), `gru` or `lstm`. Their relative costs of a step are about 1, 4 and 5."""

    hidden: int = 32
    """Number of hidden units in each layer, at least 1."""

    layers: int = 1
    """Number of recurrent layers, 1 to 100."""

    input_gain: float = 1.0
    """Initial size of the input weights, as a multiple of PyTorch's default. More than 0."""

    recurrent_gain: float = 1.0
    """Initial gain of the recurrent weights, which start orthogonal. More than 0.
    At 1 the network starts with a long memory. Below 1 it forgets its zero state within the window.
    """

    epochs: int = 100
    """Number of epochs trained with Adam, at least 0.
    Each epoch ends with a measurement of the rollout error on windows that only select the best weights.
    """

    batches: int = 50
    """Number of batches in an epoch, at least 1. Every epoch draws new windows."""

    batch: int = 128
    """Number of windows in a batch, at least 1."""

    context: tuple[int, int] = (24, 128)
    """Shortest and longest window, in values. Each batch draws one length, at least 3 with `--inputs anchors`."""

    context_evaluated: int = 64
    """Number of given values when errors are measured, at least 4."""

    settle: int = 16
    """Number of first values in a window whose predictions do not count in the one-step loss. Less than a window.
    The network starts from a zero state and has to see part of the wave first. Anchors have a rule of their own.
    """

    horizon: tuple[int, int] = (8, 100)
    """Initial and largest number of closed-loop steps in the loss.
    The horizon grows by a tenth after every epoch whose closed-loop loss was below `--grow-below`.
    """

    grow_below: float = 5e-3
    """Closed-loop loss below which the horizon grows: a mean square in units of the scale. More than 0."""

    closed_loop: float = 0.05
    """Weight of the closed-loop loss relative to the one-step loss. 0 trains the one-step loss alone."""

    learning_rate: float = 2e-3
    """Highest learning rate of Adam.
    It rises over the first 2 % of the batches and then falls along a cosine to a thousandth.
    """

    clip: float = 0.3
    """Largest norm of a gradient; longer gradients are scaled down to it. More than 0."""

    noise: float = 0.03
    """Standard deviation of the noise added to the inputs, as a fraction of the scale. It falls to 0 along a cosine.
    The noise teaches the network to return to the wave after small errors, which its own rollouts will make.
    Synthetic series have noise of their own, so it is not used with `--inputs anchors`.
    """

    steps_evaluated: int = 1000
    """Number of steps of the rollouts whose error selects the best weights, at least 1."""

    finish: int = 15
    """Number of Levenberg-Marquardt iterations in each stage of the finish, at least 0. 0 turns the finish off.
    The finish is least-squares training after the last epoch. Each iteration is shown and measured like an epoch.
    """

    finish_horizons: tuple[int, ...] = (8, 32, 100, 100, 100, 100, 100, 1000, 100, 1000, 100, 1000, 1000)
    """Number of closed-loop steps in each stage of the finish, each at least 1."""

    finish_contexts: tuple[int, ...] = (64, 64, 96, 64, 48, 64, 128, 32, 64, 16, 80, 24)
    """Numbers of given values in the finish, each at least 2. Chunks of rows use them in turn."""

    finish_rows: int = 7000
    """Number of waves in a stage of the finish, at least 1. It is rounded up to chunks of 400.
    Each wave contributes one step of its rollout. Use about twice as many waves as the network has weights.
    """

    finish_noisy: float = 0.6
    """Fraction of the finish's waves whose given values have noise, from 0 to 1.
    Their target is the continuation of the sine that fits them best, since the data determine no more.
    """

    interval_rollouts: int = 40_000
    """Number of rollouts on unseen windows that calibrate the prediction intervals, at least 0.
    As many fresh rollouts measure the coverage, but at most 8,000 of each kind. 0 makes no intervals and no warnings.
    """

    interval_horizon: int = 256
    """Number of steps that get prediction intervals, at least 1."""

    interval_contexts: tuple[int, ...] = (16, 32, 64, 96, 128, 256)
    """Calibrated lengths of context, in values, ascending, each at least 1.
    A sequence of a length in between gets the wider interval of both.
    """

    seed: int = 0
    """Seed of the weights, the windows and the noise, 0 to 9223372036854775807.
    The same seed on the same machine gives the same weights.
    """

    threads: int = 1
    """Number of threads that torch computes with, 1 to 256. A network this small gains nothing from a second one."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            numbers = value if isinstance(value, tuple) else (value,)
            if name != "seed" and any(isinstance(number, int) and number > LARGEST_COUNT for number in numbers):
                raise SettingError(f"{name.replace('_', '-')} must be at most {LARGEST_COUNT:,}")
        for name in ("hidden", "layers", "batches", "batch", "steps_evaluated", "finish_rows", "threads"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("context", "horizon"):
            low, high = getattr(self, name)
            require(1 <= low <= high, name, "two integers of at least 1, the smaller one first", f"{low} {high}")
        for name in ("learning_rate", "clip", "grow_below", "input_gain", "recurrent_gain"):
            value = getattr(self, name)
            require(0 < value < math.inf, name, "a finite number above 0", value)
        for name in ("closed_loop", "noise"):
            value = getattr(self, name)
            require(0 <= value < math.inf, name, "a finite number of at least 0", value)
        require(self.context_evaluated >= 4, "context-evaluated", "at least 4", self.context_evaluated)
        require(
            0 <= self.settle < self.context[0], "settle", f"0 to {self.context[0] - 1}, less than context", self.settle
        )
        require(self.epochs >= 0, "epochs", "at least 0", self.epochs)
        require(self.finish >= 0, "finish", "at least 0", self.finish)
        require(self.data is None or self.finish == 0, "finish", "0 on your own series", self.finish)
        if self.inputs == "anchors":
            require(self.data is None, "inputs", "value on your own series", self.inputs)
            require(self.finish == 0, "finish", "0 with anchors", self.finish)
            require(self.context[0] >= 3, "context", "at least 3 with anchors", self.context[0])
        require(self.season is None or self.season >= 1, "season", "at least 1", self.season)
        require(self.epochs + self.finish > 0, "epochs", "at least 1 where finish is 0", self.epochs)
        require(
            min(self.finish_contexts, default=0) >= 2,
            "finish-contexts",
            "integers of at least 2",
            self.finish_contexts,
        )
        require(
            min(self.finish_horizons, default=0) >= 1, "finish-horizons", "integers of at least 1", self.finish_horizons
        )
        require(
            self.finish == 0 or self.architecture.parameters <= LARGEST_FINISH,
            "finish",
            f"0 (and epochs more) for more than {LARGEST_FINISH} weights, since its time grows as their cube",
            f"{self.finish} for {self.architecture.parameters}",
        )
        require(0 <= self.finish_noisy <= 1, "finish-noisy", "from 0 to 1", self.finish_noisy)
        require(self.interval_rollouts >= 0, "interval-rollouts", "at least 0", self.interval_rollouts)
        require(self.interval_horizon >= 1, "interval-horizon", "at least 1", self.interval_horizon)
        require(
            min(self.interval_contexts, default=0) >= 1
            and list(self.interval_contexts) == sorted(set(self.interval_contexts)),
            "interval-contexts",
            "integers of at least 1, ascending",
            self.interval_contexts,
        )
        require(self.layers <= 100, "layers", "at most 100", self.layers)
        require(self.threads <= 256, "threads", "at most 256", self.threads)
        require(0 <= self.seed <= LARGEST_SEED, "seed", f"0 to {LARGEST_SEED}", self.seed)
        require_names(self.name, self.version)

    @property
    def directory(self) -> Path:
        """Return the directory of the run's checkpoint and reports."""
        return self.runs / self.name

    @property
    def artifact(self) -> Path:
        """Return the path of the artifact that the run writes."""
        return self.output or self.directory / f"{self.name}.pt"

    @property
    def architecture(self) -> Architecture:
        return Architecture(inputs=self.inputs, cell=self.cell, hidden=self.hidden, layers=self.layers)


def require_names(name: str, version: str) -> None:
    """Raise SettingError for a model's name or version that cannot be one."""
    named = name == Path(name).name not in ("", "..") and name.isprintable()
    require(named, "name", "a name without slashes", ascii(name))
    require(version.isprintable(), "version", "printable text", ascii(version))


def require(holds: bool, name: str, allowed: str, given: object) -> None:
    """Raise SettingError if a setting does not hold, with what is allowed."""
    if not holds:
        raise SettingError(f"{name.replace('_', '-')} must be {allowed}, not {given}")


PRESETS: dict[Preset, Config] = {
    "default": Config(),
    "article": Config(
        preset="article",
        name="article",
        waves=Waves(period=(40.0, 40.0), amplitude=(1.0, 1.0)),
        cell="rnn",
        hidden=32,
        # A nearly linear network that forgets its zero state remembers one curve of 50 points best.
        input_gain=0.1,
        recurrent_gain=0.8,
        # The first stage is the article's recipe: Adam and the mean square of the next value's error alone.
        epochs=100,
        context=(50, 50),
        context_evaluated=50,
        closed_loop=0.0,
        noise=0.0,
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
        cell="rnn",
        hidden=16,
        epochs=30,
        batch=64,
        context=(48, 48),
        context_evaluated=48,
        settle=16,
        steps_evaluated=100,
        horizon=(24, 24),
        closed_loop=1.0,
        noise=0.3,  # real series are few and short: without noise a network overfits them
        finish=0,
        interval_rollouts=1000,
        interval_contexts=(48,),
    ),
    "any": Config(
        preset="any",
        name="any",
        inputs="anchors",
        hidden=64,
        epochs=110,
        batches=100,
        batch=64,
        context=(3, 600),
        context_evaluated=120,
        settle=0,
        horizon=(26, 26),  # two years of months
        closed_loop=3.3,  # the one-step loss counts 0.3 of the other
        learning_rate=3e-3,
        clip=1.6,
        noise=0.0,
        steps_evaluated=24,
        finish=0,
        interval_rollouts=8000,
        interval_horizon=96,
        interval_contexts=(16, 32, 64, 128, 256),
    ),
}
