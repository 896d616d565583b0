"""The finish: Levenberg-Marquardt over a fixed set of training waves, at a schedule of horizons.

Adam's steps are as noisy as its batches. The last orders of magnitude need the curvature of a loss that does not
change. Each row of the least-squares problem is one wave and the error of one value of its rollout, so many waves and
steps are covered at little cost. The finish computes in double precision, because the method squares the condition
number of its Jacobian.

Shape suffixes: B rows, T time, P parameters.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from model.anchored import AnchoredNetwork
from model.network import Network
from training.baselines import fit_sine, sine_after
from training.config import Config
from training.data import Floats, cut
from training.jacobian import values_and_jacobian
from training.levenberg_marquardt import levenberg_marquardt
from training.losses import narrowed_units, share_narrowed
from training.record import Run

CHUNK = 400  # rows of one context; the memory must hold their backward pass
FAR = 400  # steps beyond which rows are computed apart, so that the others need not go as far
NEXT_VALUE = 0.25  # fraction of the rows that compare the next value
SHOWN = 0.5  # fraction of the rows whose waves are given for at least a period
DETERMINED = 100  # steps that noisy and short sequences are followed: they do not determine more
DRIFT = 20.0  # steps after which an error counts half, because a rollout carries its early errors along
NOISE = (0.7, 3.0)  # minus the decimal logarithm of the noise's deviation: signal to noise from 11 to 57 dB
NOISE_FLOOR, LEAST_FLOOR = 3e-3, 1e-3  # deviation at which noise halves the weight of a row: at first, and at last
FALL = 1 / 6, 0.2  # in the second half of the stages it falls by this factor, to this power in each stage
LAST_FLOOR = 2e-3  # in the last stage
NOISY_CONTEXT = 40  # fewest values of a noisy sequence
LOST = 10.0  # error in units of the noise above which a fit has found another wave
FIRST_DAMPING = 1e-3


@dataclass(frozen=True)
class Rows:
    """Rows of the least-squares problem: one wave, one step of its rollout and one weight each."""

    x_BT: Tensor
    """Windows in the network's units."""

    y_B: Tensor
    """True value of each row."""

    step_B: Tensor
    """Step of the rollout that is compared, from 0 for the next value."""

    weight_B: Tensor

    def only(self, chosen_B: Tensor) -> "Rows":
        """Return the rows for which `chosen_B` is true."""
        return Rows(*(getattr(self, field.name)[chosen_B] for field in dataclasses.fields(self)))


def finish(run: Run, config: Config, epoch_done: Callable[[], None]) -> None:
    """Run `config.finish` iterations at each of `config.finish_horizons`. The network is converted to double precision.

    `epoch_done` is called after each iteration.
    """
    if config.finish == 0 or isinstance(run.network, AnchoredNetwork):
        return
    network = run.network.double().eval()
    for stage in range(run.stage, len(config.finish_horizons)):
        horizon = config.finish_horizons[stage]
        problem = _Problem(network, make_rows(config, horizon, stage))
        if run.iterations == 0:
            run.damping = run.damping or FIRST_DAMPING  # a stage begins where the one before has ended
        theta_P = parameters_to_vector(network.parameters()).detach()
        steps = levenberg_marquardt(problem.residuals, problem.jacobian, theta_P, run.damping)
        for _, (theta_P, loss, damping) in zip(range(run.iterations, config.finish), steps, strict=False):
            vector_to_parameters(theta_P, network.parameters())
            # Earlier errors belong to weights that were trained for other rollouts. The waves that select are clean,
            # so they cannot choose among weights that were trained on noisy waves. Then the last weights count.
            if run.iterations == 0 or config.finish_noisy > 0:
                run.record.forget()
            run.record.add(network, 0.0, loss, horizon)
            run.iterations, run.damping = run.iterations + 1, damping
            epoch_done()
        run.stage, run.iterations = stage + 1, 0


def make_rows(config: Config, horizon: int, stage: int) -> list[Rows]:
    """Return chunks of training waves. Each wave has one step of its rollout, below `horizon`, to compare with the
    truth.

    Noise limits the accuracy of a noisy wave, so its row weighs less. The first half of the stages gives noisy waves
    more weight than the last stages. To average noise out, a network has to adapt to the wave that it sees. It learns
    that early or hardly at all: a network that has become exact on clean waves by other means has little to gain from
    it.

    Chunks use the contexts in turn. A short context leaves more unknown, and no training can recover that, so its rows
    weigh less. The variance of a frequency estimated from T values falls as 1/T³ (Rife and Boorstyn, IEEE Trans. Inf.
    Theory 20(5), 1974).
    """
    chunks = math.ceil(config.finish_rows / CHUNK)
    falls = max(0, stage - len(config.finish_horizons) // 2)
    noise_floor = max(LEAST_FLOOR, NOISE_FLOOR * FALL[0] ** (FALL[1] * falls))
    if stage + 1 == len(config.finish_horizons):
        noise_floor = LAST_FLOOR
    rows = []
    for number in range(chunks):
        context = config.finish_contexts[number % len(config.finish_contexts)]
        weight = min(1.0, context / config.context_evaluated) ** 3 / math.sqrt(chunks * CHUNK)
        # The seed begins like that of the epoch after the last, so no window of an earlier epoch is repeated.
        seed = (config.seed, config.epochs + 1, stage, number)
        chunk = _chunk(config, context, horizon, weight, noise_floor, seed)
        far_B = chunk.step_B >= FAR
        rows += [chunk.only(chosen_B) for chosen_B in (~far_B, far_B) if chosen_B.any()]
    return rows


def _chunk(
    config: Config, context: int, horizon: int, weight: float, noise_floor: float, seed: tuple[int, ...]
) -> Rows:
    """Return `CHUNK` rows.

    Periods and phases are spread evenly from random starts, by the additive recurrence whose steps are powers of the
    inverse plastic number (Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018). Half of the waves
    are given for at least a period. A quarter of the rows compare the next value. The steps of the other rows are
    uniform, half of them in their logarithm.
    """
    random = np.random.default_rng(seed)
    spread_2B = (random.random((2, 1)) + np.arange(CHUNK) * np.array([[0.7548776662466927], [0.5698402909980532]])) % 1
    u_4B = random.random((4, CHUNK))
    later_B = np.where(u_4B[0] < 0.5, horizon ** u_4B[1], 1 + u_4B[1] * (horizon - 1)).astype(int)
    step_B = np.where(u_4B[2] < NEXT_VALUE, 0, np.minimum(horizon - 1, later_B))
    (shortest, longest), (first, last) = config.waves.period, config.waves.phase
    shown = math.log(max(context, shortest) / shortest) / math.log(longest / shortest) if longest > shortest else 1.0
    place_B = np.where(u_4B[3] < SHOWN, spread_2B[0] * min(1.0, shown), spread_2B[0])
    period_B = shortest * (longest / shortest) ** cut(place_B, "training")
    phase_B = first + (last - first) * cut(spread_2B[1], "training")
    noise_B = random.permutation(np.arange(CHUNK) < config.finish_noisy * CHUNK) * 10 ** -random.uniform(*NOISE, CHUNK)
    noise_B *= (context >= NOISY_CONTEXT) & (context >= period_B)
    undetermined_B = (noise_B > 0) | (context < config.context_evaluated)
    step_B = np.where(undetermined_B, np.minimum(step_B, DETERMINED - 1), step_B)
    x_BT, y_B1 = _sine(period_B, phase_B, np.arange(context)), _sine(period_B, phase_B, context + step_B[:, None])
    weight_B = weight / (1 + step_B / DRIFT)
    noisy_BT = x_BT + noise_B[:, None] * random.standard_normal(x_BT.shape)
    omega_B, fit_B3 = fit_sine(torch.from_numpy(noisy_BT))
    fit_B1 = sine_after(omega_B, fit_B3, context, torch.from_numpy(step_B[:, None])).numpy()
    # A fit may mistake noise for a wave. The network must not learn that, so such rows stay clean.
    lost_B = np.abs(fit_B1 - y_B1)[:, 0] > LOST * noise_B * (1 + step_B / context)
    noise_B[lost_B] = 0
    given = noise_B > 0
    x_BT, y_B1 = np.where(given[:, None], noisy_BT, x_BT), np.where(given[:, None], fit_B1, y_B1)
    generator = torch.Generator().manual_seed(int(random.integers(2**63)))
    share = share_narrowed(config)
    level_B, scale_B = (units_B.numpy() for units_B in narrowed_units(torch.from_numpy(x_BT), share, generator))
    # Errors count in amplitudes. Less than a period shows little of a wave's level and amplitude.
    weight_B *= scale_B * np.minimum(1, context / period_B) ** 3 / (1 + noise_B / noise_floor)
    return Rows(
        torch.from_numpy((x_BT - level_B[:, None]) / scale_B[:, None]),
        torch.from_numpy((y_B1[:, 0] - level_B) / scale_B),
        torch.from_numpy(step_B),
        torch.from_numpy(weight_B),
    )


def _sine(period_B: Floats, phase_B: Floats, time_BT: npt.NDArray[np.int64]) -> Floats:
    return np.sin(phase_B[:, None] + math.tau * time_BT / period_B[:, None])


class _Problem:
    """The weighted residuals [B] and their Jacobian [B, P], as functions of the network's parameters in one vector."""

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
