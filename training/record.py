"""The state of a training run between two epochs: the network, its measurements, and the best weights so far."""

import copy
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from model.anchored import AnchoredNetwork
from model.network import Network
from training.config import Config
from training.data import Source
from training.measures import selection_error


@dataclass(frozen=True)
class Epoch:
    """The measurements of one epoch."""

    one_step: float
    """Mean one-step loss: a mean square in units of the scale, or that of `training/anchored.py`; 0 in the finish."""

    closed_loop: float
    """Mean closed-loop loss, a mean square or as above; 0 if it was not trained. In the finish it is the weighted sum
    of squares.
    """

    horizon: int
    """Number of closed-loop steps in the loss."""

    rollout_rmse: float
    """Error of rollouts on unseen windows after the epoch, as a fraction of the source's unit: the RMSE, or on
    synthetic series the error relative to seasonal naive.
    """

    @property
    def in_finish(self) -> bool:
        """Return whether it is an iteration of the finish."""
        return self.one_step == 0


class Diverged(Exception):
    """The training has left the numbers that can be computed with. The message says where, and what to lower."""

    def __init__(self, config: Config, epoch: int, sign: str) -> None:
        lower = "--learning-rate or --clip" if config.epochs else "--input-gain or --recurrent-gain"
        super().__init__(f"training diverged at epoch {epoch}, where {sign}: lower {lower}")


class Best(NamedTuple):
    """The best weights so far."""

    error: float
    epoch: int
    """Epoch of the best weights, counted from 1; 0 before the first epoch has ended."""

    weights: dict[str, Tensor]
    """Weights in single precision."""


class Record:
    """The history of a run. It keeps the weights with the lowest rollout error on the part that selects."""

    def __init__(self, config: Config, source: Source) -> None:
        self.history: list[Epoch] = []
        self._config = config
        self._error = selection_error(config, source)
        self.best = Best(math.inf, 0, {})

    def add(self, network: Network | AnchoredNetwork, one_step: float, closed_loop: float, horizon: int) -> Epoch:
        """Measure `network` at the end of an epoch. The network is not changed.

        Raises:
            Diverged: a loss, a weight or the error is not finite.
        """
        # The network is measured in single precision, because it is served in single precision.
        served = copy.deepcopy(network).float().eval()
        epoch = Epoch(one_step, closed_loop, horizon, self._error(served))
        if not all(weight.isfinite().all() for weight in served.state_dict().values()):
            raise Diverged(self._config, len(self.history) + 1, "a weight is not finite")
        if not all(map(math.isfinite, (epoch.one_step, epoch.closed_loop, epoch.rollout_rmse))):
            raise Diverged(self._config, len(self.history) + 1, "the loss is not finite")
        self.history.append(epoch)
        if epoch.rollout_rmse < self.best.error or not self.best.epoch:
            # A single assignment cannot be interrupted halfway by Ctrl-C.
            self.best = Best(epoch.rollout_rmse, len(self.history), served.state_dict())
        return epoch

    def forget(self) -> None:
        """Make the next weights the best so far, whatever their error."""
        self.best = self.best._replace(error=math.inf)


@dataclass
class Run:
    """A training run between two epochs."""

    network: Network | AnchoredNetwork
    adam: torch.optim.Adam
    record: Record

    horizon: int
    """Number of closed-loop steps in the loss of the next epoch with Adam."""

    stage: int = 0
    """Number of completed stages of the finish."""

    iterations: int = 0
    """Number of completed iterations of the current stage."""

    damping: float = 0.0
    """Damping λ of the next iteration. Each stage starts with its own."""
