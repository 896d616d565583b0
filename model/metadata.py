"""The metadata of an artifact, as they are written into the file and shown by `GET /model`.

This module does not import torch, so a client can read the metadata without it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from model.anchors import ANCHORS, INPUTS
from model.fit import Expectation
from model.units import Normalisation, Units, units_between


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


CellKind = Literal["rnn", "gru", "lstm"]
"""The recurrent cells are those of `model/cell.py`; `rnn` is the tanh cell."""


InputKind = Literal["value", "anchors"]
"""A network sees the last value, or it sees the forecasts of simple methods and mixes them: `model/anchors`."""


class MemberSizes(_Record):
    """The sizes of the members beside an anchored network: `model/members` defines them."""

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

    @property
    def state(self) -> int:
        """Return how many numbers the members remember of a sequence, as `model/members/batched.py` lays them out."""
        return self.values + self.cells * (2 + self.inner + self.season + self.errors) + 5

    @property
    def parameters(self) -> int:
        """Return the number of weights, rates and shares."""
        return self.values + 3 + self.cells * (6 + self.errors)


class Architecture(_Record):
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

    @property
    def memory(self) -> int:
        """Return how many numbers the state of one layer has: the hidden state and, behind it, the cell state of an
        LSTM.
        """
        return 2 * self.hidden if self.cell == "lstm" else self.hidden

    @property
    def parameters(self) -> int:
        """Return the number of weights and biases, the readout's included."""
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[self.cell] * self.hidden
        inputs, outputs = (INPUTS, len(ANCHORS) + 1) if self.inputs == "anchors" else (1, 1)
        below = inputs + (self.layers - 1) * self.hidden
        members = self.members.parameters if self.members else 0
        return gates * (below + self.layers * (self.hidden + 2)) + outputs * (self.hidden + 1) + members


class Coverage(_Record):
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


class Calibration(_Record):
    """How the prediction intervals were calibrated. Their radii are a separate file inside the artifact."""

    contexts: list[int] = Field(min_length=1)
    """Calibrated lengths of context, ascending. A sequence of a length in between gets the wider interval of both."""

    horizon: int = Field(ge=1)
    """Number of steps that have intervals."""

    steps: list[int] | None = None
    """Steps whose radii are stored, from 1, ascending. None for all of them."""

    noise_edges: list[list[float]] | None = None
    """The noise between two bins, ascending, for each length of context. None for a single bin."""

    residual_edges: list[list[list[float]]] | None = None
    """The residual between two bins, ascending, for each bin of the noise. None for a single bin."""

    rollouts: int = Field(ge=1)
    """Number of rollouts that each radius was calibrated on."""

    coverage: list[Coverage]


class Fitting(_Record):
    """The fit of held-out sequences, clean and noisy. All lists have a number for each length of context.

    `model/fit.py` describes the numbers.
    """

    contexts: list[int] = Field(min_length=1)
    """Lengths of context, ascending. A sequence uses the longest that does not exceed its own length."""

    clean: list[float]
    noisiest: list[float]
    largest_ratio: list[float]

    warned: dict[str, float] = Field(default_factory=dict)
    """Percentage of fresh sequences that do not fit, by kind, after as many values as errors are measured with."""

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """Return the numbers of each context, the longest first."""
        rows = zip(self.contexts, self.clean, self.noisiest, self.largest_ratio, strict=True)
        return tuple(Expectation(*row) for row in reversed(list(rows)))


class Metadata(_Record):
    """The description of one trained model."""

    name: str
    version: str
    """The person who trains the model chooses the version; every change of the weights gets a new one."""

    architecture: Architecture
    normalisation: Normalisation = "max_abs"
    """How level and scale of a sequence are found, as `model/units.py` lists it. The default is that of artifacts that
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

    def units(self, lowest: float, highest: float) -> Units:
        """Return the units of a sequence from its lowest and its highest value."""
        return units_between(lowest, highest, self.normalisation, self.offset, self.scale or 1.0)


class GoldenCase(_Record):
    """One rollout that a runtime has to reproduce before it may serve."""

    sequence: list[float]
    """The given values, in the caller's units."""

    season: int = Field(default=1, ge=1, exclude_if=lambda season: season == 1)
    """The season of the sequence, 1 for none. Only an anchored network sees it."""

    values: list[float]
    """The values that follow, computed in double precision by the unfolded loop. No runtime shares code with this
    reference.
    """


class Golden(_Record):
    """The golden rollouts of an artifact: the outputs that every runtime has to reproduce."""

    cases: list[GoldenCase] = Field(min_length=1)

    @property
    def example(self) -> GoldenCase:
        """Return the case with the longest sequence, which shows best what the model is for."""
        return max(self.cases, key=lambda case: len(case.sequence))
