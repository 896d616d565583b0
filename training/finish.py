"""The finish: Levenberg-Marquardt over a fixed set of training waves, at horizons that grow.

Adam's steps are as noisy as its batches, and the last orders of magnitude need the curvature of a loss that stands
still. Each row of the least-squares problem is one wave of its own and the error of one value of its rollout: many
waves and steps for the price of few. In double precision, because the method squares the condition of its Jacobian.

Shape suffixes: B rows, T time, P parameters.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from model.network import Network
from training.config import Config
from training.data import Floats, cut
from training.jacobian import values_and_jacobian
from training.levenberg_marquardt import levenberg_marquardt
from training.progress import TrainingProgress
from training.record import Record

CHUNK = 480  # rows whose backward pass is held in memory at once
NEXT_VALUE = 0.25  # part of the rows
DRIFT = 20.0  # steps after which an error counts half: what a rollout gets wrong early, it carries on
FIRST_DAMPING = 1e-3


@dataclass(frozen=True)
class Rows:
    """One wave, one step and one weight each; sorted by step, so that a chunk's rollouts are of about one length."""

    x_BT: Tensor
    """Windows in the network's units."""

    y_B: Tensor
    """The true value."""

    step_B: Tensor
    """Which value of the rollout it is, from 0 for the next one."""

    weight_B: Tensor


def finish(network: Network, config: Config, record: Record, progress: TrainingProgress) -> None:
    """Run `config.finish` iterations at each of `config.finish_horizons`; `network` turns to double precision."""
    if config.finish == 0:
        return
    network.double().eval()
    for stage, horizon in enumerate(config.finish_horizons):
        rows = make_rows(config, horizon, (config.seed, config.epochs + 1, stage))
        problem = _Problem(network, rows)
        theta_P = parameters_to_vector(network.parameters()).detach()
        record.forget()  # the errors of weights that were trained for shorter rollouts
        steps = levenberg_marquardt(problem.residuals, problem.jacobian, theta_P, FIRST_DAMPING)
        for _, (theta_P, loss) in zip(range(config.finish), steps, strict=False):
            vector_to_parameters(theta_P, network.parameters())
            progress.epoch_done(record.add(network, 0.0, loss, horizon))


def make_rows(config: Config, horizon: int, seed: tuple[int, ...]) -> Rows:
    """Training waves and the steps of their rollouts, below `horizon`, that are compared with the truth.

    Periods and phases are spread evenly, by the additive recurrence whose steps are powers of the inverse plastic
    number (Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018), from random starts. A quarter of
    the steps is the next value; the others are uniform, half of them in their logarithm.
    """
    count, context = config.finish_rows, config.context_evaluated
    random = np.random.default_rng(seed)
    spread_2B = (random.random((2, 1)) + np.arange(count) * np.array([[0.7548776662466927], [0.5698402909980532]])) % 1
    u_3B = random.random((3, count))
    later_B = np.where(u_3B[0] < 0.5, horizon ** u_3B[1], 1 + u_3B[1] * (horizon - 1)).astype(int)
    step_B = np.sort(np.where(u_3B[2] < NEXT_VALUE, 0, np.minimum(horizon - 1, later_B)))
    (shortest, longest), (first, last) = config.waves.period, config.waves.phase
    period_B = shortest * (longest / shortest) ** cut(spread_2B[0], "training")
    phase_B = first + (last - first) * cut(spread_2B[1], "training")
    x_BT, y_B = _sine(period_B, phase_B, np.arange(context)), _sine(period_B, phase_B, context + step_B[:, None])
    scale_B1 = np.abs(x_BT).max(axis=1, keepdims=True)
    weight_B = 1 / (1 + step_B / DRIFT) / math.sqrt(count)
    x, y, weight = (torch.from_numpy(array) for array in (x_BT / scale_B1, (y_B / scale_B1)[:, 0], weight_B))
    return Rows(x, y, torch.from_numpy(step_B), weight)


def _sine(period_B: Floats, phase_B: Floats, time_BT: npt.NDArray[np.int64]) -> Floats:
    return np.sin(phase_B[:, None] + math.tau * time_BT / period_B[:, None])


class _Problem:
    """Weighted residuals [B] and their Jacobian [B, P] as functions of the network's parameters in one vector."""

    def __init__(self, network: Network, rows: Rows) -> None:
        self._network, self._rows = network, rows
        self._chunks = torch.split(torch.arange(len(rows.y_B)), CHUNK)

    @torch.no_grad()
    def residuals(self, theta_P: Tensor) -> Tensor:
        vector_to_parameters(theta_P, self._network.parameters())
        fold = self._network.fold()
        values = []
        for chunk in self._chunks:
            x_BT, step_B = self._rows.x_BT[chunk], self._rows.step_B[chunk]
            _, h_LBH = self._network(x_BT)
            y_BS, _ = self._network.rollout(h_LBH, int(step_B.max()) + 1, fold)
            values.append(y_BS.gather(1, step_B.unsqueeze(1)).squeeze(1))
        return (torch.cat(values) - self._rows.y_B) * self._rows.weight_B

    def jacobian(self, theta_P: Tensor) -> tuple[Tensor, Tensor]:
        vector_to_parameters(theta_P, self._network.parameters())
        parts = [
            values_and_jacobian(self._network, self._rows.x_BT[chunk], self._rows.step_B[chunk])
            for chunk in self._chunks
        ]
        y_B, J_BP = (torch.cat(part) for part in zip(*parts, strict=True))
        return (y_B - self._rows.y_B) * self._rows.weight_B, J_BP * self._rows.weight_B.unsqueeze(1)
