"""The contract of a runtime, which executes an artifact. Nothing here needs torch.

A runtime turns sequences into states (`encode`) and states into values (`rollout`). A state is all that a sequence
leaves behind: a rollout from the state equals a rollout from the sequence.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class State(NamedTuple):
    """The memory of a sequence: a rollout needs nothing else of it."""

    memory_LM: npt.NDArray[np.float32]
    """Memory of each layer after the last value, [L, M]: its hidden state, followed by an LSTM's cell state."""

    scale: float
    """Divisor of the sequence, in the caller's units."""


class Runtime(Protocol):
    """Executes one artifact on one device."""

    @property
    def name(self) -> str:
        """Name for logs and `GET /model`."""

    @property
    def device(self) -> str:
        """Device that executes the artifact: `cpu` or `cuda`."""

    @property
    def batches(self) -> bool:
        """True if a batch costs less than its rows one by one."""

    def start(self, sequence: Sequence[float]) -> State:
        """Return the state before the first value of a sequence that is encoded in parts: zero, at its scale."""

    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """Return the state after each sequence, from the start or from `states`. The scale of a given state stays.

        Each sequence has at least one value, all finite; lengths may differ.
        """

    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """Return the next `steps` values of each, [B, S] in the caller's units, and the states after them."""

    def forecast(self, sequence: Sequence[float], steps: int) -> npt.NDArray[np.float64]:
        """Return the next `steps` values of one sequence, [S]: `encode` and `rollout` without the states."""
