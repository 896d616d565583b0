"""What a run has measured so far, and the best weights that it has seen."""

import copy
import math
from dataclasses import dataclass

from torch import Tensor

from model.network import Network
from training.config import Config
from training.data import Source
from training.evaluate import rollout_rmse


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


class Record:
    """The history of a run. The weights with the lowest held-out rollout error are kept."""

    def __init__(self, config: Config, source: Source) -> None:
        self.history: list[Epoch] = []
        steps = min(config.steps_evaluated, source.rollouts[-1])
        self._unseen = source.selection(config.context_evaluated, steps, count=512)
        self._best: tuple[float, int, dict[str, Tensor]] = (math.inf, 0, {})

    def add(self, network: Network, one_step: float, closed_loop: float, horizon: int) -> Epoch:
        """Measure `network`, which stays as it is, at the end of an epoch."""
        # In single precision, whatever it is trained in: that is what will be served.
        served = copy.deepcopy(network).float().eval()
        epoch = Epoch(one_step, closed_loop, horizon, rollout_rmse(served.generate, self._unseen))
        self.history.append(epoch)
        if epoch.rollout_rmse < self._best[0] or not self._best[1]:
            # One assignment, so that Ctrl-C never finds half of it.
            self._best = (epoch.rollout_rmse, len(self.history), served.state_dict())
        return epoch

    def forget(self) -> None:
        """Let the next weights be the best so far, however large their error."""
        self._best = (math.inf, *self._best[1:])

    @property
    def best(self) -> tuple[int, dict[str, Tensor]]:
        """The epoch, counted from 1, and the weights; 0 and nothing before the first epoch has ended."""
        return self._best[1], self._best[2]
