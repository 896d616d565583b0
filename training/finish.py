"""The finish: Levenberg-Marquardt over a fixed set of training waves, at horizons that grow.

Adam's steps are as noisy as its batches, and the last orders of magnitude need the curvature of a loss that stands
still. Each row of the least-squares problem is one wave of its own and the error of one value of its rollout: many
waves and steps for the price of few. In double precision, because the method squares the condition of its Jacobian.

Shape suffixes: B rows, T time, P parameters.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from model.network import Network
from training.baselines import fit_sine, sine_after
from training.config import Config
from training.data import Floats, cut
from training.jacobian import values_and_jacobian
from training.levenberg_marquardt import levenberg_marquardt
from training.record import Run

CHUNK = 400  # rows of one context; their backward pass is held in memory at once
NEXT_VALUE = 0.25  # part of the rows
DRIFT = 20.0  # steps after which an error counts half: what a rollout gets wrong early, it carries on
SCALED = 0.3  # part of the rows that are not divided by their largest value, but by as little as it can be
NOISE = (1.1, 3.0)  # minus the decimal logarithm of the noise's deviation: signal to noise from 19 to 57 dB
NOISE_FLOOR = 1e-3  # deviation from which noise makes an error count less: what noise hides need not be as exact
NOISY_CONTEXT = 40  # values from which noisy sequences are learned from
LOST = 10.0  # times the noise: where a fit has found another wave
FIRST_DAMPING = 1e-3


@dataclass(frozen=True)
class Rows:
    """One wave, one step and one weight each."""

    x_BT: Tensor
    """Windows in the network's units."""

    y_B: Tensor
    """The true value."""

    step_B: Tensor
    """Which value of the rollout it is, from 0 for the next one."""

    weight_B: Tensor


def finish(run: Run, config: Config, epoch_done: Callable[[], None]) -> None:
    """Run `config.finish` iterations at each of `config.finish_horizons`; the network turns to double precision.

    `epoch_done` is called after each iteration.
    """
    if config.finish == 0:
        return
    network = run.network.double().eval()
    for stage in range(run.stage, len(config.finish_horizons)):
        horizon = config.finish_horizons[stage]
        problem = _Problem(network, make_rows(config, horizon, stage))
        if run.iterations == 0:
            run.record.forget()  # the errors of weights that were trained for shorter rollouts
            run.damping = FIRST_DAMPING
        theta_P = parameters_to_vector(network.parameters()).detach()
        steps = levenberg_marquardt(problem.residuals, problem.jacobian, theta_P, run.damping)
        for _, (theta_P, loss, damping) in zip(range(run.iterations, config.finish), steps, strict=False):
            vector_to_parameters(theta_P, network.parameters())
            run.record.add(network, 0.0, loss, horizon)
            run.iterations, run.damping = run.iterations + 1, damping
            epoch_done()
        run.stage, run.iterations = stage + 1, 0


def make_rows(config: Config, horizon: int, stage: int) -> list[Rows]:
    """Chunks of training waves and the steps of their rollouts, below `horizon`, that are compared with the truth.

    The contexts take turns. What a short one leaves unknown nobody can learn, so its rows weigh less: the variance of a
    frequency that is estimated from T values falls as 1/T³ (Rife and Boorstyn, IEEE Trans. Inf. Theory 20(5), 1974).
    """
    chunks = math.ceil(config.finish_rows / CHUNK)
    rows = []
    for number in range(chunks):
        context = config.finish_contexts[number % len(config.finish_contexts)]
        weight = min(1.0, context / config.context_evaluated) ** 3 / math.sqrt(chunks * CHUNK)
        # The seed begins like that of the epoch after the last, so that no window of an earlier epoch comes again.
        rows.append(_chunk(config, context, horizon, weight, (config.seed, config.epochs + 1, stage, number)))
    return rows


def _chunk(config: Config, context: int, horizon: int, weight: float, seed: tuple[int, ...]) -> Rows:
    """`CHUNK` rows.

    Periods and phases are spread evenly, by the additive recurrence whose steps are powers of the inverse plastic
    number (Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018), from random starts. A quarter of
    the steps is the next value; the others are uniform, half of them in their logarithm.
    """
    random = np.random.default_rng(seed)
    spread_2B = (random.random((2, 1)) + np.arange(CHUNK) * np.array([[0.7548776662466927], [0.5698402909980532]])) % 1
    u_4B = random.random((4, CHUNK))
    later_B = np.where(u_4B[0] < 0.5, horizon ** u_4B[1], 1 + u_4B[1] * (horizon - 1)).astype(int)
    step_B = np.where(u_4B[2] < NEXT_VALUE, 0, np.minimum(horizon - 1, later_B))
    (shortest, longest), (first, last) = config.waves.period, config.waves.phase
    period_B = shortest * (longest / shortest) ** cut(spread_2B[0], "training")
    phase_B = first + (last - first) * cut(spread_2B[1], "training")
    x_BT, y_B1 = _sine(period_B, phase_B, np.arange(context)), _sine(period_B, phase_B, context + step_B[:, None])
    # The largest value of whole-numbered periods can be as small as cos(π/period), that of others hardly ever is.
    least_B, chosen_B = np.cos(np.pi / period_B), u_4B[3] / SCALED
    peak_B = np.where(chosen_B < 1, least_B + (1 - least_B) * chosen_B, np.abs(x_BT).max(axis=1))
    weight_B = weight / (1 + step_B / DRIFT)
    noise_B = random.permutation(np.arange(CHUNK) < config.finish_noisy * CHUNK) * 10 ** -random.uniform(*NOISE, CHUNK)
    noise_B *= context >= NOISY_CONTEXT
    noisy_BT = x_BT + noise_B[:, None] * random.standard_normal(x_BT.shape)
    omega_B, fit_B2 = fit_sine(torch.from_numpy(noisy_BT))
    fit_B1 = sine_after(omega_B, fit_B2, context, torch.from_numpy(step_B[:, None])).numpy()
    # A fit may take noise for a wave that is not there; nobody is to learn that.
    lost_B = np.abs(fit_B1 - y_B1)[:, 0] > LOST * noise_B * (1 + step_B / context)
    noise_B[lost_B] = 0
    given = noise_B > 0
    x_BT, y_B1 = np.where(given[:, None], noisy_BT, x_BT), np.where(given[:, None], fit_B1, y_B1)
    peak_B = np.where(given, np.abs(x_BT).max(axis=1), peak_B)
    weight_B /= 1 + noise_B / NOISE_FLOOR
    return Rows(
        torch.from_numpy(x_BT / peak_B[:, None]),
        torch.from_numpy(y_B1[:, 0] / peak_B),
        torch.from_numpy(step_B),
        torch.from_numpy(weight_B),
    )


def _sine(period_B: Floats, phase_B: Floats, time_BT: npt.NDArray[np.int64]) -> Floats:
    return np.sin(phase_B[:, None] + math.tau * time_BT / period_B[:, None])


class _Problem:
    """Weighted residuals [B] and their Jacobian [B, P] as functions of the network's parameters in one vector."""

    def __init__(self, network: Network, chunks: list[Rows]) -> None:
        self._network, self._chunks = network, chunks

    @torch.no_grad()
    def residuals(self, theta_P: Tensor) -> Tensor:
        vector_to_parameters(theta_P, self._network.parameters())
        fold = self._network.fold()
        parts = []
        for rows in self._chunks:
            _, state_LBM = self._network(rows.x_BT)
            y_BS, _ = self._network.rollout(state_LBM, int(rows.step_B.max()) + 1, fold)
            parts.append((y_BS.gather(1, rows.step_B.unsqueeze(1)).squeeze(1) - rows.y_B) * rows.weight_B)
        return torch.cat(parts)

    def jacobian(self, theta_P: Tensor) -> tuple[Tensor, Tensor]:
        vector_to_parameters(theta_P, self._network.parameters())
        r, J = [], []
        for rows in self._chunks:
            y_B, J_BP = values_and_jacobian(self._network, rows.x_BT, rows.step_B)
            r.append((y_B - rows.y_B) * rows.weight_B)
            J.append(J_BP * rows.weight_B.unsqueeze(1))
        return torch.cat(r), torch.cat(J)
