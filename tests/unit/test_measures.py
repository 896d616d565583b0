"""Tests that the reported errors are the true errors."""

import math

import pytest
import torch
from torch import Tensor

from training.data import Waves
from training.measures import measure, rollout_rmse

WAVES = Waves(period=(10.0, 50.0), amplitude=(2.0, 2.0))
DATASET = WAVES.held_out(64, 200, count=50, seed=3)
_, TRUTH_BS = DATASET.all()


def test_a_predictor_that_knows_the_truth_has_no_error() -> None:
    assert set(measure(lambda x_BT, steps: TRUTH_BS, DATASET, WAVES.rollouts).values()) == {0.0}


def test_errors_are_fractions_of_the_amplitude() -> None:
    def off_by_more_and_more(x_BT: Tensor, steps: int) -> Tensor:
        return TRUTH_BS + 0.01 * torch.arange(1, steps + 1)

    measured = measure(off_by_more_and_more, DATASET, WAVES.rollouts)
    assert measured.keys() == {"next_value_rmse", "next_value_max", "rollout_100_rmse"}
    assert measured["next_value_rmse"] == pytest.approx(0.01 / 2)
    assert measured["next_value_max"] == pytest.approx(0.01 / 2)
    assert measured["rollout_100_rmse"] == pytest.approx(0.01 / 2 * math.sqrt(sum(k * k for k in range(1, 101)) / 100))
    assert rollout_rmse(off_by_more_and_more, DATASET) > measured["rollout_100_rmse"]


def test_the_largest_error_is_that_of_the_worst_wave() -> None:
    def wrong_once(x_BT: Tensor, steps: int) -> Tensor:
        y_BS = TRUTH_BS.clone()
        y_BS[17, 0] -= 0.5
        return y_BS

    measured = measure(wrong_once, DATASET, WAVES.rollouts)
    assert measured["next_value_max"] == pytest.approx(0.25)
    assert measured["next_value_rmse"] == pytest.approx(0.25 / math.sqrt(50))
