"""The metadata of an artifact, as they are written into the file and shown by `GET /model`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Record(BaseModel):
    """A part of the metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


CellKind = Literal["rnn", "gru", "lstm"]
"""The recurrent cells; `rnn` is the tanh cell."""


InputKind = Literal["value", "anchors"]
"""A network sees the last value, or it sees the forecasts of simple methods and mixes them."""


Normalisation = Literal["range", "max_abs", "standard"]
"""How level and scale of a sequence are found: from its range, from its largest magnitude, or from training alone."""


class MemberSizes(Record):
    """The sizes of the members beside an anchored network."""

    values: int = Field(ge=1)
    """Number of values that they begin with, M."""

    cells: int = Field(ge=0)
    """Number of smoothing cells, E."""

    errors: int = Field(default=0, ge=0)
    """Number of last errors that each cell weighs, P."""

    inner: int = Field(default=1, ge=1)
    """The shorter season of the cells in steps, 1 for none."""

    season: int = Field(default=1, ge=1)
    """The longer season of the cells, 1 for none."""

    logarithm: bool = False
    """True if they see the logarithm of the values."""


class Architecture(Record):
    """The kind and the sizes that determine the network's modules."""

    inputs: InputKind = Field(default="value", exclude_if=lambda inputs: inputs == "value")
    """The inputs of the network. Artifacts name them only if they are not the value."""

    cell: CellKind = "rnn"

    hidden: int = Field(default=64, ge=1)
    """Number of hidden units in each layer."""

    layers: int = Field(default=1, ge=1)
    """Number of recurrent layers, stacked on top of each other."""

    members: MemberSizes | None = Field(default=None, exclude_if=lambda members: members is None)
    """The members beside an anchored network, if it has any."""


class Coverage(Record):
    """The measured coverage of one level: how many per cent of fresh windows the intervals contained."""

    context: int
    """Number of values given."""

    of: str = "all"
    """Kind of the windows: a level of noise, or another family of sequences."""

    level: int
    """Nominal coverage, in per cent."""

    lowest: float
    """Coverage at the step of the rollout where it was lowest."""

    mean: float
    highest: float


class Calibration(Record):
    """How the prediction intervals were calibrated. Their radii are a separate file inside the artifact."""

    contexts: list[int] = Field(min_length=1)
    """Calibrated lengths of context, ascending. A sequence of a length in between gets the wider interval of both."""

    horizon: int = Field(ge=1)
    """Number of steps that have intervals."""

    steps: list[int] | None = None
    """Steps whose radii are stored, from 1, ascending. None for all of them."""

    noise_edges: list[list[float]] | None = None
    """The noise between two bins, ascending, for each length of context. None for a single bin."""

    growth_edges: list[list[float]] | None = Field(default=None, exclude_if=lambda edges: edges is None)
    """The growth of errors between two bins, in place of the noise. Only anchored networks have it."""

    residual_edges: list[list[list[float]]] | None = None
    """The residual between two bins, ascending, for each bin of noise or growth. None for a single bin."""

    rollouts: int = Field(ge=1)
    """Number of rollouts that each radius was calibrated on."""

    coverage: list[Coverage]


class Fitting(Record):
    """The fit of held-out sequences, clean and noisy. All lists have a number for each length of context.

    The residual of clean and of the noisiest sequences, and the largest ratio of a residual to the expected one.
    """

    contexts: list[int] = Field(min_length=1)
    """Lengths of context, ascending. A sequence uses the longest that does not exceed its own length."""

    clean: list[float]
    noisiest: list[float]
    largest_ratio: list[float]

    warned: dict[str, float] = Field(default_factory=dict)
    """Percentage of fresh sequences that do not fit, by kind, after as many values as errors are measured with."""


class Metadata(Record):
    """The description of one trained model."""

    name: str
    version: str
    """The person who trains the model chooses the version; every change of the weights gets a new one."""

    architecture: Architecture
    normalisation: Normalisation = "max_abs"
    """How level and scale of a sequence are found, as `Normalisation` lists it. The default is that of artifacts that
    do not say it.
    """

    offset: float = 0.0
    """The level where it is the same for every sequence, in the caller's units."""

    scale: float | None = Field(default=None, gt=0)
    """The scale where it is the same for every sequence, in the caller's units; None where each has its own."""

    season: int | None = Field(default=None, ge=1, exclude_if=lambda season: season is None)
    """The season of the series that the model was fitted to, 1 for none. A request that tells no season has this one.
    None where the season of each sequence is found.
    """

    data: dict[str, JsonValue]
    """Description of the training data."""

    training: dict[str, JsonValue]
    """Settings of the training."""

    errors: dict[str, float]
    """Errors on held-out data, as fractions of the amplitude of a wave or of the scale of the series."""

    intervals: Calibration | None = None
    """Calibration of the prediction intervals; None if the artifact has none."""

    fit: Fitting | None = None
    """Fit of held-out sequences; None where it was not measured, as in older artifacts."""

    torch_version: str
