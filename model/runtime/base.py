"""The contract of a runtime, which executes an artifact. Nothing here needs torch.

A runtime turns sequences into states (`encode`) and states into values (`rollout`). A state is all that a sequence
leaves behind: a rollout from the state equals a rollout from the sequence.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class State(NamedTuple):
    """What a runtime remembers of a sequence."""

    memory_LM: npt.NDArray[np.float32]
    """What each layer remembers after the last value: its hidden state, and behind it an LSTM's cell state."""

    scale: float
    """What the sequence was divided by, in the caller's units."""


class Runtime(Protocol):
    """Executes one artifact on one device."""

    @property
    def name(self) -> str:
        """For logs and `GET /model`."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""

    @property
    def batches(self) -> bool:
        """Whether a batch costs less than its rows one by one."""

    def start(self, sequence: Sequence[float]) -> State:
        """The state before the first value of a sequence that will be encoded in parts: zero, at its scale."""

    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """The state after each sequence, from the start or from `states`, whose scale then holds.

        Each sequence has at least one value, all finite; lengths may differ.
        """

    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """The next `steps` values of each, [B, S] in the caller's units, and the states after them."""

    def forecast(self, sequence: Sequence[float], steps: int) -> npt.NDArray[np.float64]:
        """The next `steps` values [S] of one sequence: `encode` and `rollout` where nobody asks for the state."""
