"""A training run between two epochs: what it goes on with, what it has measured, and the best weights so far."""

import copy
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from model.network import Network
from training.config import Config
from training.data import Source
from training.measures import rollout_rmse


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured."""

    one_step: float
    """Mean one-step loss: the mean square in units of the scale."""

    closed_loop: float
    """Mean closed-loop loss, in the same units; 0 where it was not trained."""

    horizon: int
    """Steps of the closed loop in the loss."""

    rollout_rmse: float
    """RMSE of rollouts on unseen windows, as a fraction of the source's unit, after the epoch."""


class Best(NamedTuple):
    """The best weights so far."""

    error: float
    epoch: int
    """Counted from 1; 0 before the first has ended."""

    weights: dict[str, Tensor]
    """In single precision."""


class Record:
    """The history of a run. The weights with the lowest held-out rollout error are kept."""

    def __init__(self, config: Config, source: Source) -> None:
        self.history: list[Epoch] = []
        steps = min(config.steps_evaluated, source.rollouts[-1])
        self._unseen = source.selection(config.context_evaluated, steps, count=512)
        self.best = Best(math.inf, 0, {})

    def add(self, network: Network, one_step: float, closed_loop: float, horizon: int) -> Epoch:
        """Measure `network`, which stays as it is, at the end of an epoch."""
        # In single precision, whatever it is trained in: that is what will be served.
        served = copy.deepcopy(network).float().eval()
        epoch = Epoch(one_step, closed_loop, horizon, rollout_rmse(served.generate, self._unseen))
        self.history.append(epoch)
        if epoch.rollout_rmse < self.best.error or not self.best.epoch:
            # One assignment, so that Ctrl-C never finds half of it.
            self.best = Best(epoch.rollout_rmse, len(self.history), served.state_dict())
        return epoch

    def forget(self) -> None:
        """Let the next weights be the best so far, however large their error."""
        self.best = self.best._replace(error=math.inf)


@dataclass
class Run:
    """A training run between two epochs."""

    network: Network
    adam: torch.optim.Adam
    record: Record

    horizon: int
    """Steps of the closed loop in the loss of the next epoch with Adam."""

    stage: int = 0
    """Stages of the finish that are over."""

    iterations: int = 0
    """Iterations of the stage that follows them."""

    damping: float = 0.0
    """λ of the next of them; each stage chooses its first."""
