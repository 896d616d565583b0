"""Tests of waves, of windows, and of the split that holds some waves out of training."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from training.data import BANDS, HELD_OUT, Split, WaveDataset, Waves, wave_loader

WAVES = Waves(period=(10.0, 50.0))
SPLITS: list[Split] = ["training", "held_out"]


def places(dataset: WaveDataset) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the place of each period and phase in its band, from 0 to 1, computed from the waves themselves."""
    period_B = np.log(dataset.period_B / 10) / math.log(5)
    return period_B * BANDS % 1, dataset.phase_B / math.tau * BANDS % 1


def test_an_item_is_a_window_of_a_sine_and_the_value_that_follows_it() -> None:
    dataset = WaveDataset(WAVES, "training", count=3, window=50)
    x_T, y_S = dataset[1]
    assert x_T.shape == (50,)
    assert y_S.shape == (1,)
    time_T = np.arange(51)
    wave_T = dataset.amplitude_B[1] * np.sin(dataset.phase_B[1] + math.tau * time_T / dataset.period_B[1])
    np.testing.assert_allclose(torch.cat([x_T, y_S]).numpy(), wave_T, rtol=0, atol=1e-12)


def test_the_next_values_are_the_ones_that_a_longer_window_would_hold() -> None:
    longer, _ = WaveDataset(WAVES, "training", count=4, window=60).all()
    x_BT, y_BS = WaveDataset(WAVES, "training", count=4, window=50, horizon=10).all()
    assert torch.equal(torch.cat([x_BT, y_BS], dim=1), longer)


def test_an_item_depends_on_the_seed_and_its_number_alone() -> None:
    short, long = (WaveDataset(WAVES, "training", count, window=20, seed=5) for count in (10, 1000))
    for i in (0, 7, 9):
        assert torch.equal(short[i][0], long[i][0])
    other_seed = WaveDataset(WAVES, "training", 10, window=20, seed=6)
    assert not torch.equal(short[0][0], other_seed[0][0])


def test_the_loader_gives_the_items_in_batches() -> None:
    dataset = WaveDataset(WAVES, "training", count=10, window=20, horizon=3)
    batches = list(wave_loader(dataset, batch=4))
    assert [tuple(x_BT.shape) for x_BT, _ in batches] == [(4, 20), (4, 20), (2, 20)]
    assert [tuple(y_BS.shape) for _, y_BS in batches] == [(4, 3), (4, 3), (2, 3)]
    assert torch.equal(torch.cat([x_BT for x_BT, _ in batches]), dataset.all()[0])
    assert torch.equal(batches[1][0][2], dataset[6][0])


def test_no_training_wave_has_a_held_out_period_or_phase_and_every_held_out_wave_has_both() -> None:
    edges = (1 - HELD_OUT) / 2, (1 + HELD_OUT) / 2
    for place_B in places(WaveDataset(WAVES, "training", count=100_000, window=1)):
        assert len(place_B) == 100_000
        assert not np.any((place_B > edges[0] + 1e-9) & (place_B < edges[1] - 1e-9))
    for place_B in places(WaveDataset(WAVES, "held_out", count=100_000, window=1)):
        assert len(place_B) == 100_000
        assert np.all((place_B >= edges[0] - 1e-9) & (place_B <= edges[1] + 1e-9))


@pytest.mark.parametrize("split", SPLITS)
def test_both_splits_reach_over_the_whole_range(split: Split) -> None:
    dataset = WaveDataset(WAVES, split, count=20_000, window=1)
    assert dataset.period_B.min() >= 10
    assert dataset.period_B.max() <= 50
    assert np.histogram(np.log(dataset.period_B), BANDS, (math.log(10), math.log(50)))[0].min() > 3000
    assert np.histogram(dataset.phase_B, BANDS, (0, math.tau))[0].min() > 3000


def test_a_chosen_period_is_split_by_phase_alone() -> None:
    waves = Waves(period=(40.0, 40.0), amplitude=(1.0, 1.0))
    training, unseen = (WaveDataset(waves, split, count=1000, window=1) for split in SPLITS)
    assert set(training.period_B.round(9)) == set(unseen.period_B.round(9)) == {40.0}
    assert not np.isin((unseen.phase_B * 1000).round(), (training.phase_B * 1000).round()).all()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("period", (50.0, 10.0), "period must be two finite numbers, the smaller one first, not 50.0 10.0"),
        ("period", (2.0, 10.0), "period must be more than 2 samples, not 2.0"),
        ("phase", (0.0, 7.0), "phase must span at most 2π"),
        ("phase", (0.0, math.nan), "phase must be two finite numbers"),
        ("amplitude", (0.0, 1.0), "amplitude must be more than 0, not 0.0"),
    ],
)
def test_waves_that_cannot_be_are_refused(field: str, value: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(WAVES, **{field: value})


def test_one_wave_with_one_phase_is_refused_because_nothing_could_be_held_out() -> None:
    with pytest.raises(ValueError, match="nothing can be held out"):
        Waves(period=(20.0, 20.0), phase=(1.0, 1.0))


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        WaveDataset(WAVES, "training", count=1, window=0)
