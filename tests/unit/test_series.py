"""Tests of series and of their split by time."""

import numpy as np
import pytest
import torch

from training.data import wave_loader
from training.series import Series, fewest_points, split

LENGTH = 200
RAMP = Series({"a": np.arange(LENGTH, dtype=float), "b": 1000 + np.arange(100, dtype=float)}, horizon=5)
# A value of a ramp gives its place. The parts of a end at 130, 160 and 200, those of b at 1065, 1080 and 1100.
BORDERS = {
    "training": [(0, 130), (1000, 1065)],
    "selection": [(130, 160), (1065, 1080)],
    "held_out": [(160, 200), (1080, 1100)],
}


def test_the_parts_follow_each_other_in_time() -> None:
    assert split(LENGTH) == ((0, 130), (130, 160), (160, 200))
    for length in range(2, 50):
        (zero, one), (two, three), (four, end) = split(length)
        assert (zero, one, three, end) == (0, two, four, length)


def test_windows_are_pieces_of_a_series_and_what_follows_them() -> None:
    for dataset in (RAMP.training(500, 20, 5, seed=1), RAMP.selection(20, 5, 500), RAMP.held_out(20, 5, 500)):
        series_BT = torch.cat(dataset.all(), dim=1)
        assert series_BT.shape == (len(dataset), 25)
        assert torch.all(series_BT.diff(dim=1) == 1), "no window crosses from one series into another"
        x_T, y_S = dataset[3]
        assert torch.equal(torch.cat([x_T, y_S]), series_BT[3])


def test_training_windows_lie_wholly_in_the_training_parts_and_reach_all_of_them() -> None:
    series_BT = torch.cat(RAMP.training(5000, 20, 5, seed=0).all(), dim=1)
    seen = set(series_BT.flatten().tolist())
    assert seen == {float(value) for begin, end in BORDERS["training"] for value in range(begin, end)}


@pytest.mark.parametrize("part", ["selection", "held_out"])
def test_forecasts_stay_within_their_part_and_cover_all_of_it(part: str) -> None:
    x_BT, y_BS = getattr(RAMP, part)(20, 5, 10_000).all()
    assert set(y_BS.flatten().tolist()) == {float(v) for begin, end in BORDERS[part] for v in range(begin, end)}
    assert float(x_BT.min()) == BORDERS[part][0][0] - 20, "the context of a forecast may lie before its part"


def test_fewer_windows_are_spread_evenly() -> None:
    x_BT, _ = RAMP.held_out(20, 5, 4).all()
    everything, _ = RAMP.held_out(20, 5, 10_000).all()
    assert len(x_BT) == 4
    assert torch.equal(x_BT[[0, -1]], everything[[0, -1]])


def test_training_windows_depend_on_the_seed_alone() -> None:
    first, again, other = (RAMP.training(50, 20, 5, seed).all()[0] for seed in ((3, 1), (3, 1), (3, 2)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_loader_does_not_care_where_windows_come_from() -> None:
    assert [len(x_BT) for x_BT, _ in wave_loader(RAMP.training(10, 20, 5, 0), batch=4)] == [4, 4, 2]


def test_the_unit_of_errors_comes_from_the_training_parts_alone() -> None:
    one = Series({"y": np.concatenate([np.arange(65.0), np.zeros(35)])}, horizon=2)
    other = Series({"y": np.concatenate([np.arange(65.0), np.full(35, 1e5)])}, horizon=2)
    assert one.deviation == other.deviation == pytest.approx(np.arange(65).std())
    assert RAMP.held_out(20, 5, 3).unit_B.tolist() == [RAMP.deviation] * 3, "errors are fractions of the deviation"


def test_the_digest_depends_on_every_value_the_order_and_the_ids() -> None:
    one, two = np.arange(100.0), np.arange(100.0) ** 2
    digest = Series({"a": one, "b": two}, horizon=2).digest
    assert digest == Series({"a": one.copy(), "b": two}, horizon=9).digest
    others: list[dict[str, np.ndarray]] = [
        {"b": two, "a": one},
        {"a": two, "b": one},
        {"a": one, "c": two},
        {"a": one, "b": np.where(np.arange(100) == 99, 0, two)},
        {"a": one[:99], "b": np.concatenate([one[99:], two])},
        {"a": one},
    ]
    assert all(Series(other, horizon=2).digest != digest for other in others)


def test_values_that_came_later_are_held_out_and_change_nothing_else() -> None:
    values = {"a": np.arange(100.0), "b": np.arange(60.0) ** 2}
    longer = {name: np.concatenate([value_T, value_T[:10]]) for name, value_T in values.items()}
    before, after = Series(values, horizon=5), Series(longer, horizon=5, later=10)
    assert after.digest == before.digest
    assert after.deviation == before.deviation
    for part in ("training_parts", "known_parts"):
        for one, other in zip(getattr(before, part), getattr(after, part), strict=True):
            np.testing.assert_array_equal(one, other)
    windows = len(before.held_out(20, 5, 1000))
    assert len(after.held_out(20, 5, 1000)) == windows + 20


def test_a_constant_series_is_refused() -> None:
    with pytest.raises(ValueError, match="all values of the training part are the same"):
        Series({"y": np.full(100, 3.0)}, horizon=2)


def assert_too_short(series: Series, window: int, horizon: int) -> None:
    """Check that a short series gives neither training windows nor held-out windows."""

    def draw() -> None:
        series.training(3, window, horizon, 0)
        series.selection(window, horizon, 9)

    with pytest.raises(ValueError, match="no series is long enough"):
        draw()


@pytest.mark.parametrize(("window", "horizon"), [(1, 1), (20, 5), (48, 24), (5, 60)])
def test_the_fewest_points_are_enough_and_one_less_is_not(window: int, horizon: int) -> None:
    fewest = fewest_points(window, horizon)
    enough = Series({"y": np.arange(fewest, dtype=float)}, horizon)
    assert len(enough.training(3, window, horizon, 0)) == 3
    assert len(enough.selection(window, horizon, 9)) >= 1
    assert len(enough.held_out(window, horizon, 9)) >= 1
    less = Series({"y": np.arange(fewest - 1, dtype=float)}, horizon)
    assert_too_short(less, window, horizon)
