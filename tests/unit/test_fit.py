"""Tests of the fit: residual and noise of the last errors, in both runtimes, and what follows from them."""

import math

import numpy as np
import pytest
import torch

from model.artifact import load_module, read_artifact
from model.fit import FEWEST, RECENT, fit_of, fits, residual_and_noise, used
from model.metadata import CellKind, Fitting
from model.runtime.base import State
from model.runtime.select import Engine, open_runtime
from tests.artifacts import MakeArtifact

FITTING = Fitting(contexts=[8, 32], clean=[0.1, 0.01], noisiest=[0.4, 0.3], largest_ratio=[3.0, 2.0])


def state(observed: int, residual: float, noise: float, scale: float = 10.0) -> State:
    return State(np.zeros((1, 1), np.float32), 0.0, scale, observed, residual=residual, noise=noise)


def test_the_residual_is_the_rms_of_the_errors_of_the_later_half() -> None:
    counts = {0: 0, 1: 0, 8: 4, 31: 15, 32: 16, 10**6: 16}
    error_BR = np.random.default_rng(0).standard_normal((len(counts), RECENT)).astype(np.float32)
    residual_B, _ = residual_and_noise(error_BR, np.array(list(counts)))
    for (observed, count), error_R, residual in zip(counts.items(), error_BR, residual_B, strict=True):
        last = error_R[RECENT - count :]
        assert used(observed) == count
        assert residual == pytest.approx(math.sqrt(np.mean(np.square(last))) if count else 0)


def test_noise_is_the_residual_of_white_errors_and_little_of_slow_ones() -> None:
    random = np.random.default_rng(0)
    white_BR = random.standard_normal((4000, RECENT)).astype(np.float32)
    residual_B, noise_B = residual_and_noise(white_BR, np.full(4000, 64))
    assert (np.mean(residual_B**2), np.mean(noise_B**2)) == pytest.approx((1, 1), abs=0.03)
    slow_BR = np.array([np.sin(np.arange(RECENT) / 5), np.full(RECENT, 3.0)], np.float32)
    residual_B, noise_B = residual_and_noise(slow_BR, np.array([64, 64]))
    assert noise_B[0] < 0.05 * residual_B[0]
    assert noise_B[1] == 0


def test_the_ratio_is_that_of_the_residual_to_what_noise_explains() -> None:
    for observed, residual, noise, expected, ratio, expected_to_fit in [
        (8, 0.2, 0.2, 0.2, 1.0, True),
        (31, 0.05, 0.0, 0.1, 0.5, True),  # as clean as clean sequences are
        (32, 0.05, 0.0, 0.01, 5.0, False),  # more values allow smaller errors
        (32, 0.05, 0.025, 0.025, 2.0, True),
        (500, 0.9, 0.9, 0.3, 3.0, False),  # noisier than any held-out sequence
    ]:
        fit = fit_of(FITTING.expectations, state(observed, residual, noise))
        assert fit is not None
        assert fit.ratio == pytest.approx(ratio)
        assert (fit.residual, fit.expected) == pytest.approx((10 * residual, 10 * expected))
        assert (fit.values, fit.fits) == (min(16, observed // 2), expected_to_fit)
        assert fits(FITTING.expectations, state(observed, residual, noise)) == expected_to_fit


def test_few_values_have_no_fit_and_a_constant_sequence_fits() -> None:
    assert fit_of(FITTING.expectations, state(FEWEST - 1, 1.0, 0.0)) is None
    assert fits(FITTING.expectations, state(FEWEST - 1, 1.0, 0.0))
    assert fit_of(FITTING.expectations, state(64, 1.0, 0.0, scale=0.0)) == (0.0, 0.0, 0.0, 16, True)
    assert fits(FITTING.expectations, state(64, 1.0, 0.0, scale=0.0))


@pytest.mark.parametrize("engine", ["fused", "torchscript"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_runtime_knows_the_errors_of_the_network(make_artifact: MakeArtifact, cell: CellKind, engine: Engine) -> None:
    artifact = read_artifact(make_artifact(cell=cell, hidden=20, layers=2))
    module = load_module(artifact, torch.device("cpu"))
    runtime = open_runtime(artifact, "cpu", engine).runtime
    random = np.random.default_rng(0)
    for length in (1, 2, 9, 16, 17, 60):
        sequence = random.standard_normal(length)
        _, after = runtime.forecast(sequence.tolist(), 5)
        middle, half = (sequence.max() + sequence.min()) / 2, (sequence.max() - sequence.min()) / 2
        z_T = torch.from_numpy((sequence - middle) / (half or 1)).float()
        y_T = module(z_T[None])[0][0].detach()
        expected = (z_T[1:] - y_T[:-1]).double().numpy()[-RECENT:]
        np.testing.assert_allclose(after.error_R[RECENT - len(expected) :], expected, atol=1e-5)
        residual_B, noise_B = residual_and_noise(after.error_R[None], np.array([length]))
        assert (after.residual, after.noise) == pytest.approx((residual_B[0], noise_B[0]), rel=1e-6)
        states = [runtime.start(sequence.tolist())]
        for value in sequence:  # one by one, with a rollout in between that changes nothing
            states = runtime.encode([[value]], states)
            runtime.rollout(states, 3)
        np.testing.assert_allclose(states[0].error_R[-length + 1 :], after.error_R[-length + 1 :], atol=1e-5)
        assert (states[0].residual, states[0].noise) == pytest.approx((after.residual, after.noise), rel=1e-3)
