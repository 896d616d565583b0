"""What an artifact says about itself, as it is written into the file and shown by `GET /model`.

Nothing here needs torch, so that a client can read a description without it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


CellKind = Literal["rnn", "gru", "lstm"]
"""The recurrent cells of `model/cell.py`: `rnn` is the tanh cell."""


class Architecture(_Record):
    """What has to be known to build the network's modules."""

    cell: CellKind = "rnn"

    hidden: int = Field(default=64, ge=1)
    """Hidden units of each layer."""

    layers: int = Field(default=1, ge=1)
    """Recurrent layers on top of each other."""

    @property
    def memory(self) -> int:
        """Numbers that a layer remembers: its hidden state and, behind it, the cell state of an LSTM."""
        return 2 * self.hidden if self.cell == "lstm" else self.hidden

    @property
    def parameters(self) -> int:
        """Weights and biases, those of the readout included."""
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[self.cell] * self.hidden
        inputs = 1 + (self.layers - 1) * self.hidden
        return gates * (inputs + self.layers * (self.hidden + 2)) + self.hidden + 1


class Coverage(_Record):
    """How often the intervals of one level held the truth on fresh windows, in per cent of them."""

    context: int
    """Values given."""

    level: int
    """Per cent that were to be."""

    lowest: float
    """At the step of the rollout where it was least often."""

    mean: float
    highest: float


class Calibration(_Record):
    """Where prediction intervals come from; their radii are a file of their own in the artifact."""

    contexts: list[int] = Field(min_length=1)
    """Numbers of values given that were calibrated, ascending. A sequence takes the longest that it is not below."""

    horizon: int = Field(ge=1)
    """Steps up to which there are intervals."""

    rollouts: int = Field(ge=1)
    """Rollouts that each is calibrated on."""

    coverage: list[Coverage]


class Metadata(_Record):
    """The description of one trained model."""

    name: str
    version: str
    """Chosen by whoever trained it; a new version for every change of weights."""

    architecture: Architecture
    normalisation: Literal["max_abs", "standard"] = "max_abs"
    """How a sequence becomes the network's input: `max_abs`, divided by its largest absolute value; `standard`, less
    `offset` and divided by `scale`, the mean and the standard deviation of what the model was trained on."""

    offset: float = 0.0
    """In the caller's units."""

    scale: float | None = Field(default=None, gt=0)
    """In the caller's units; None where it is each sequence's own."""

    data: dict[str, JsonValue]
    """What it was trained on."""

    training: dict[str, JsonValue]
    """The settings it was trained with."""

    errors: dict[str, float]
    """Errors on what training never saw, as fractions of the amplitude of a wave or the scale of the series."""

    intervals: Calibration | None = None
    """None where it has none."""

    torch_version: str


class GoldenCase(_Record):
    """One rollout that a runtime has to reproduce before it may serve."""

    sequence: list[float]
    """In the caller's units."""

    values: list[float]
    """What follows, computed in double precision by the unfolded loop: a reference that no runtime shares code with."""


class Golden(_Record):
    """The rollouts that an artifact carries as proof of its own behaviour."""

    cases: list[GoldenCase] = Field(min_length=1)
