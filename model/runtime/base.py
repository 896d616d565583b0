"""The contract of a runtime, which executes an artifact. Nothing here needs torch.

A runtime turns sequences into states (`encode`) and states into values (`rollout`). A state is all that a sequence
leaves behind: a rollout from the state equals a rollout from the sequence.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from model.anchors import later_error
from model.fit import RECENT

_NO_ERRORS = np.zeros(RECENT, np.float32)
_NO_ERRORS.setflags(write=False)
_NO_ANCHORS = np.zeros(0)
_NO_ANCHORS.setflags(write=False)


class State(NamedTuple):
    """All that a forecast needs of the sequence before it."""

    memory_LM: npt.NDArray[np.float32]
    """Memory of each layer after the last value, [L, M]: its hidden state, followed by an LSTM's cell state."""

    level: float
    scale: float
    """Units of the sequence, in the caller's units."""

    observed: int = 0
    """Number of values that it has observed. Those of a rollout do not count."""

    error_R: npt.NDArray[np.float32] = _NO_ERRORS
    """Errors of the predictions of the last `RECENT` values, the newest last, in units of the sequence."""

    residual: float = 0.0
    noise: float = 0.0
    """Residual and noise of the sequence, as in `model/fit.py`, in units of the sequence."""

    rolled_out: bool = False
    """True if predictions have been fed back, so not all of the memory comes from observed values."""

    season: int = 1
    """Season of the sequence in steps, 1 for none. Only an anchored network sees it."""

    anchors_K: npt.NDArray[np.float64] = _NO_ANCHORS
    """State of the anchors (`model/anchors/state.py`), whose length depends on the season, and behind it that of the
    members (`model/members/batched.py`). Empty without anchors.
    """

    @property
    def later(self) -> float:
        """Return the least error of the anchors' later forecasts, in units of the sequence; 0 without anchors."""
        return later_error(self.anchors_K, self.season) if len(self.anchors_K) else 0.0


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

    def start(self, sequence: Sequence[float], season: int = 1) -> State:
        """Return the state before the first value of a sequence that is encoded in parts: zero, in its units.

        The lowest and the highest value of a sequence suffice. A network without anchors ignores the season.
        """

    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """Return the state after each sequence, from the start or from `states`. The units and the season of a given
        state stay; the season is 1 otherwise.

        Each sequence has at least one value, all finite; lengths may differ.
        """

    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """Return the next `steps` values of each, [B, S] in the caller's units, and the states after them."""

    def forecast(self, sequence: Sequence[float], steps: int, season: int = 1) -> tuple[npt.NDArray[np.float64], State]:
        """Return the next `steps` values of one sequence, [S], and the state after them: `encode` and `rollout`."""
