"""Tests of the finish: its Jacobian against autograd, its method on a known problem, its rows against the split."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model.metadata import Architecture, CellKind
from model.network import Network
from training.baselines import one_sine
from training.config import PRESETS, Config
from training.data import BANDS, HELD_OUT
from training.finish import DETERMINED, FAR, make_rows
from training.jacobian import values_and_jacobian
from training.levenberg_marquardt import levenberg_marquardt


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_jacobian_is_the_gradient_of_each_row(cell: CellKind, layers: int) -> None:
    torch.manual_seed(0)
    network = Network(Architecture(cell=cell, hidden=5, layers=layers)).double()
    x_BT, step_B = torch.randn(4, 6, dtype=torch.float64), torch.tensor([0, 1, 4, 7])
    y_B, J_BP = values_and_jacobian(network, x_BT, step_B)
    for row, step in enumerate(step_B.tolist()):
        _, state_LBM = network(x_BT[row : row + 1])
        value = network.rollout(state_LBM, step + 1, network.fold())[0][0, step]
        gradients = torch.autograd.grad(value, list(network.parameters()))
        gradient_P = torch.cat([gradient.flatten() for gradient in gradients])
        torch.testing.assert_close(y_B[row], value.detach(), rtol=0, atol=1e-12)
        torch.testing.assert_close(J_BP[row], gradient_P, rtol=0, atol=1e-12)


def test_levenberg_marquardt_follows_a_bent_valley_to_its_end() -> None:
    def rosenbrock(theta_P: Tensor) -> Tensor:
        return torch.stack([10 * (theta_P[1] - theta_P[0] ** 2), 1 - theta_P[0]])

    def jacobian(theta_P: Tensor) -> tuple[Tensor, Tensor]:
        return rosenbrock(theta_P), torch.func.jacfwd(rosenbrock)(theta_P)

    start_P = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    steps = [step for step, _ in zip(levenberg_marquardt(rosenbrock, jacobian, start_P, 1e-2), range(40), strict=False)]
    losses = [loss for _, loss, _ in steps]
    assert losses == sorted(losses, reverse=True)
    torch.testing.assert_close(steps[-1][0], torch.ones(2, dtype=torch.float64))
    assert len(steps) < 40, "it stops when no step lowers the loss"


def test_a_step_to_a_loss_that_is_not_finite_is_not_taken() -> None:
    """A rollout that explodes has a loss that is not a number."""

    def residuals(theta_P: Tensor) -> Tensor:
        return torch.log(theta_P)

    def jacobian(theta_P: Tensor) -> tuple[Tensor, Tensor]:
        return residuals(theta_P), torch.diag(1 / theta_P)

    start_P = torch.tensor([20.0], dtype=torch.float64)
    *_, (theta_P, _, _) = levenberg_marquardt(residuals, jacobian, start_P, 1e-3)
    torch.testing.assert_close(theta_P, torch.ones(1, dtype=torch.float64))


def test_rows_are_training_waves_of_any_step_of_the_horizon() -> None:
    (rows,) = make_rows(dataclasses.replace(PRESETS["article"], finish_rows=400), 50, 1)
    assert rows.x_BT.shape == (400, 50)
    assert int(rows.step_B.min()) == 0
    assert 45 < int(rows.step_B.max()) < 50
    assert float((rows.step_B == 0).double().mean()) > 0.2
    # A whole period has the mean of the wave, so it gives the level, and its first two values then give the phase.
    omega = math.tau / 40
    x_BT = rows.x_BT.numpy()
    level_B = x_BT[:, :40].mean(axis=1)
    first_B, second_B = x_BT[:, 0] - level_B, x_BT[:, 1] - level_B
    cosine_B = (second_B - first_B * math.cos(omega)) / math.sin(omega)
    phase_B, amplitude_B = np.arctan2(first_B, cosine_B), np.hypot(first_B, cosine_B)
    band_B = (phase_B / math.tau % 1) * BANDS % 1
    assert np.all(np.abs(band_B - 0.5) > HELD_OUT / 2 - 1e-9), "no row has a held-out phase"
    assert np.all((amplitude_B > 1 - 1e-9) & (amplitude_B < 1.1))
    later_B = level_B + amplitude_B * np.sin(phase_B + omega * (50 + rows.step_B.numpy()))
    np.testing.assert_allclose(rows.y_B, later_B, atol=1e-9)


def test_short_contexts_weigh_less_and_every_stage_has_rows_of_its_own() -> None:
    config = dataclasses.replace(Config(), finish_contexts=(64, 32, 96), finish_rows=900, finish_noisy=0.0)
    first, again, other = (make_rows(config, 1, stage) for stage in (1, 1, 2))
    assert [rows.x_BT.shape for rows in first] == [(400, 64), (400, 32), (400, 96)]
    usual, short, long = (float(rows.weight_B.square().mean()) for rows in first)
    assert short < usual / 2**6
    assert usual == pytest.approx(long, rel=0.05)
    for one, two, three in zip(first, again, other, strict=True):
        assert torch.equal(one.x_BT, two.x_BT)
        assert not torch.equal(one.x_BT, three.x_BT)


def test_the_target_of_a_noisy_wave_is_its_best_sine_and_weighs_less() -> None:
    config = dataclasses.replace(Config(), finish_contexts=(64,), finish_rows=400)
    (clean,), (noisy,) = (make_rows(dataclasses.replace(config, finish_noisy=part), 20, 0) for part in (0.0, 0.5))
    changed_B = (clean.x_BT != noisy.x_BT).any(dim=1)
    assert 0.4 < float(changed_B.double().mean()) <= 0.5, "half of the rows, minus those whose fit is lost in the noise"
    assert torch.equal(noisy.y_B[~changed_B], clean.y_B[~changed_B])
    assert torch.equal(noisy.weight_B[~changed_B], clean.weight_B[~changed_B])
    assert bool((noisy.weight_B[changed_B] < 0.9 * clean.weight_B[changed_B]).all())
    best_BS = one_sine(noisy.x_BT, 20)
    torch.testing.assert_close(noisy.y_B, best_BS.gather(1, noisy.step_B[:, None])[:, 0], rtol=0, atol=1e-7)
    assert float((noisy.x_BT.amax(dim=1) - noisy.x_BT.amin(dim=1)).median()) == pytest.approx(2), (
        "inputs have the units of their own range"
    )


def test_only_clean_sequences_of_full_length_are_followed_far_and_those_are_computed_apart() -> None:
    config = dataclasses.replace(Config(), finish_contexts=(32, 64), finish_rows=800, finish_noisy=0.5)
    short, near, far = make_rows(config, 1000, 0)
    assert [rows.x_BT.size(1) for rows in (short, near, far)] == [32, 64, 64]
    assert int(short.step_B.max()) < DETERMINED
    assert int(near.step_B.max()) < FAR <= int(far.step_B.min())
    assert int(far.step_B.max()) > 900
    assert len(near.step_B) + len(far.step_B) == 400
    best_BS, step_B = one_sine(far.x_BT, 1000), far.step_B[:, None]
    torch.testing.assert_close(far.y_B, best_BS.gather(1, step_B)[:, 0], rtol=0, atol=1e-6)
