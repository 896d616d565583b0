"""The metadata of an artifact, with what can be computed from them. `sine_client/metadata.py` has the fields.

This module does not import torch.
"""

from pydantic import Field

from model.anchors import ANCHORS, INPUTS
from model.fit import Expectation
from model.units import Units, units_between
from sine_client import metadata
from sine_client.metadata import Calibration as Calibration
from sine_client.metadata import CellKind as CellKind
from sine_client.metadata import Coverage as Coverage
from sine_client.metadata import InputKind as InputKind
from sine_client.metadata import Record


class MemberSizes(metadata.MemberSizes):
    """The sizes of the members beside an anchored network: `model/members` defines them."""

    @property
    def state(self) -> int:
        """Return how many numbers the members remember of a sequence, as `model/members/batched.py` lays them out."""
        return self.values + self.cells * (2 + self.inner + self.season + self.errors) + 5

    @property
    def parameters(self) -> int:
        """Return the number of weights, rates and shares."""
        return self.values + 3 + self.cells * (6 + self.errors)


class Architecture(metadata.Architecture):
    """The kind and the sizes that determine the network's modules."""

    members: MemberSizes | None = Field(default=None, exclude_if=lambda members: members is None)

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


class Fitting(metadata.Fitting):
    """The fit of held-out sequences, clean and noisy. `model/fit.py` describes the numbers."""

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """Return the numbers of each context, the longest first."""
        rows = zip(self.contexts, self.clean, self.noisiest, self.largest_ratio, strict=True)
        return tuple(Expectation(*row) for row in reversed(list(rows)))


class Metadata(metadata.Metadata):
    """The description of one trained model."""

    architecture: Architecture
    fit: Fitting | None = None

    def units(self, lowest: float, highest: float) -> Units:
        """Return the units of a sequence from its lowest and its highest value."""
        return units_between(lowest, highest, self.normalisation, self.offset, self.scale or 1.0)


class GoldenCase(Record):
    """One rollout that a runtime has to reproduce before it may serve."""

    sequence: list[float]
    """The given values, in the caller's units."""

    season: int = Field(default=1, ge=1, exclude_if=lambda season: season == 1)
    """The season of the sequence, 1 for none. Only an anchored network sees it."""

    values: list[float]
    """The values that follow, computed in double precision by the unfolded loop. No runtime shares code with this
    reference.
    """


class Golden(Record):
    """The golden rollouts of an artifact: the outputs that every runtime has to reproduce."""

    cases: list[GoldenCase] = Field(min_length=1)

    @property
    def example(self) -> GoldenCase:
        """Return the case with the longest sequence, which shows best what the model is for."""
        return max(self.cases, key=lambda case: len(case.sequence))
