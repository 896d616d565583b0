"""Tests of the baseline forecasts against results that are known."""

import math

import numpy as np
import pytest
import torch

from training.baselines import (
    ar2,
    autoregression,
    baselines,
    best_lag,
    fit_autoregression,
    fit_sine,
    last_value,
    one_sine,
    seasonal_naive,
)
from training.data import Waves
from training.measures import rollout_rmse
from training.series import Series

WAVES = Waves(period=(10.0, 50.0), amplitude=(2.0, 2.0))
DATASET = WAVES.held_out(64, 200, count=50, seed=3)


def test_the_last_value_is_repeated() -> None:
    assert last_value(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 3).tolist() == [[2.0] * 3, [4.0] * 3]


def test_the_last_season_is_repeated_as_often_as_it_is_needed() -> None:
    assert seasonal_naive(3)(torch.tensor([[9.0, 1.0, 2.0, 3.0]]), 5).tolist() == [[1.0, 2.0, 3.0, 1.0, 2.0]]


@pytest.mark.parametrize("period", [3, 10, 24, 50])
def test_the_best_lag_of_a_wave_is_its_period_whatever_its_level(period: int) -> None:
    wave_T = torch.sin(math.tau * torch.arange(64, dtype=torch.float64) / period)
    wave_BT = 5 + torch.stack([wave_T, 100 * wave_T])
    assert (best_lag(wave_BT) % period).tolist() == [0, 0], "a wave of few samples is like itself after any period"
    torch.testing.assert_close(seasonal_naive()(wave_BT[:, :60], 4), wave_BT[:, 60:])


def test_a_sequence_that_does_not_repeat_has_the_best_lag_one() -> None:
    assert best_lag(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0] * 6])).tolist() == [1, 1]
    assert best_lag(torch.tensor([[1.0, 2.0]])).tolist() == [1]


def test_ar2_is_exact_on_a_clean_sine() -> None:
    assert rollout_rmse(ar2, DATASET) < 1e-9


def test_an_autoregression_finds_the_weights_that_made_a_series_and_goes_on_with_them() -> None:
    values = [1.0, 2.0, 0.5]
    for _ in range(60):
        values.append(0.7 + 0.5 * values[-1] - 0.3 * values[-2] + 0.1 * values[-3])
    whole_T = np.array(values)
    constant, lag_P, level = fit_autoregression([whole_T[:20], whole_T[10:30]], 3)
    constant_of_x = constant + level * (1 - lag_P.sum())
    np.testing.assert_allclose([constant_of_x, *lag_P], [0.7, 0.5, -0.3, 0.1], atol=1e-9)
    forecast_BS = autoregression(constant, lag_P, level)(torch.from_numpy(whole_T[None, :5]), 30)
    np.testing.assert_allclose(forecast_BS[0], whole_T[5:35], atol=1e-9)


@pytest.mark.parametrize(
    ("level", "size", "digits"),
    [(0, 1, 1e-11), (1e5, 1e-3, 1e-6), (-1e6, 1e-2, 1e-6), (0, 1e-14, 1e-11), (0, 1e-150, 1e-11), (0, 1e150, 1e-11)],
)
def test_an_autoregression_is_found_in_any_unit_beside_any_level(level: float, size: float, digits: float) -> None:
    wave_T = level + size * np.sin(math.tau * np.arange(300) / 12)
    forecast_BS = autoregression(*fit_autoregression([wave_T[:200]], 2))(torch.from_numpy(wave_T[None, :200]), 24)
    assert np.abs(forecast_BS[0].numpy() - wave_T[200:224]).max() < digits * size


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e-20, 1e-14, 1e15, 1e160, 1e300])
def test_the_baselines_of_a_wave_are_the_same_in_any_unit(size: float) -> None:
    time_T = torch.arange(264, dtype=torch.float64)
    wave_BT = torch.sin(torch.arange(5)[:, None] + math.tau * time_T / (13.7 + 3 * torch.arange(5)[:, None]))
    given_BT, truth_BS = wave_BT[:, :64], wave_BT[:, 64:]
    assert torch.equal(best_lag(size * given_BT), best_lag(given_BT))
    for predict in (ar2, one_sine):
        torch.testing.assert_close(predict(size * given_BT, 200) / size, truth_BS, rtol=0, atol=1e-9)


def test_a_series_gets_its_baselines_from_what_comes_before_the_held_out_part() -> None:
    seen_T = np.sin(math.tau * np.arange(240) / 12)
    sources = [Series({"y": np.concatenate([seen_T, rest])}, horizon=6) for rest in (seen_T[:60], np.full(60, 1e5))]
    x_BT = torch.from_numpy(seen_T[None, :30])
    one, other = ({name: base(x_BT, 6) for name, base in baselines(source, 30).items()} for source in sources)
    assert one.keys() == {"last_value", "seasonal_naive", "ar2"}
    for name in one:
        assert torch.equal(one[name], other[name])
    torch.testing.assert_close(one["seasonal_naive"][0], torch.from_numpy(seen_T[30:36]))


def test_a_season_longer_than_the_context_is_not_repeated() -> None:
    source = Series({"y": np.sin(math.tau * np.arange(240) / 12)}, horizon=6)
    assert "seasonal_naive" not in baselines(source, context=11)
    assert "seasonal_naive" in baselines(source, context=11, season=11)


def test_the_best_sine_is_exact_without_noise_and_as_good_as_can_be_with_it() -> None:
    """Check the error against Cramér and Rao's bound for the frequency.

    The bound is 12 σ² / (A²/2 · T (T² - 1)) / 2, and it holds far from 0 and π.
    """
    random, length, noise = np.random.default_rng(0), 64, 0.05
    omega_B = torch.from_numpy(random.uniform(0.3, 2.8, 2000))
    phase_B = torch.from_numpy(random.uniform(0, math.tau, 2000))
    wave_BT = torch.sin(omega_B[:, None] * torch.arange(length + 50) + phase_B[:, None])
    torch.testing.assert_close(one_sine(wave_BT[:, :length], 50), wave_BT[:, length:], rtol=0, atol=1e-9)
    noisy_BT = wave_BT[:, :length] + noise * torch.from_numpy(random.standard_normal((2000, length)))
    found_B, _ = fit_sine(noisy_BT)
    bound = math.sqrt(24 * noise**2 / (length * (length**2 - 1)))
    assert float((found_B - omega_B).square().mean().sqrt()) == pytest.approx(bound, rel=0.1)


def test_the_best_sine_finds_a_wave_of_which_there_is_only_one_period() -> None:
    wave_BT = torch.sin(0.7 + math.tau * torch.arange(164, dtype=torch.float64) / 64)[None]
    torch.testing.assert_close(one_sine(wave_BT[:, :64], 100), wave_BT[:, 64:], rtol=0, atol=1e-8)
