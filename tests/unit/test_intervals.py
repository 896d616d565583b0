"""Tests that intervals cover as often as their level says, and are refused where nothing was calibrated."""

import math
from typing import Any

import numpy as np
import pytest

from model.fit import Fit
from model.intervals import LEVELS, Intervals, NoInterval, conformal_radius, growth_of, growths_of, spread_of
from model.metadata import Calibration
from training.data import Floats
from training.forecasts import Known


def made(rollouts: int = 1000, horizon: int = 5) -> Intervals:
    random = np.random.default_rng(0)
    errors = [random.normal(0, width, (rollouts, horizon)) for width in (2.0, 1.0)]
    return Intervals.of(
        about(rollouts, horizon), np.stack([conformal_radius(error_BS)[None, None] for error_BS in errors])
    )


def about(rollouts: int = 1000, horizon: int = 5) -> Calibration:
    return Calibration(contexts=[4, 8], horizon=horizon, rollouts=rollouts, coverage=[])


def around(
    intervals: Intervals, values_S: Floats, state: Known, levels: list[int], first: int = 0, ratio: float = 1.0
) -> dict[str, Floats]:
    fit = Fit(state.residual * state.scale, state.residual * state.scale / ratio, ratio, 16, fits=True)
    return intervals.around(values_S, fit, state, state.observed, levels, first)


def known(
    observed: int = 8, scale: float = 1.0, residual: float = 1.0, noise: float = 0.0, later: float = 0.0
) -> Known:
    return Known(scale, observed, residual, noise, later)


def test_the_radius_is_the_error_of_the_rank_that_the_level_needs() -> None:
    error_BS = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))[:, None] * [1, -1]
    radius_VS = conformal_radius(error_BS)
    # Of 99 rollouts with the errors 1, 2, … 99, level l needs the ⌈(99 + 1) l / 100⌉ = l-th smallest.
    np.testing.assert_allclose(radius_VS, np.arange(1.0, 100.0)[:, None] * [1, 1], rtol=1e-6)
    assert np.all(radius_VS >= np.arange(1.0, 100.0)[:, None]), "a radius is never rounded down"


@pytest.mark.parametrize("draw", ["standard_normal", "standard_cauchy", "standard_exponential"])
def test_intervals_hold_as_often_as_they_say_whatever_the_errors_are_like(draw: str) -> None:
    """One draw of calibration errors and fresh errors may be lucky. The mean over many draws is not."""
    random = np.random.default_rng(1)
    rollouts, trials, levels = 150, 400, np.arange(1, LEVELS + 1)
    held = np.zeros(LEVELS)
    for _ in range(trials):
        radius_VS = conformal_radius(getattr(random, draw)((rollouts, 1)))
        held += np.mean(radius_VS >= np.abs(getattr(random, draw)((200, 1))).T, axis=1) / trials
    exact = np.array([math.ceil((rollouts + 1) * level / 100) for level in levels]) / (rollouts + 1)
    np.testing.assert_allclose(held, exact, atol=0.01)
    assert np.all(exact >= levels / 100)


def test_ends_come_from_the_lowest_to_the_highest_and_in_the_unit_of_the_sequence() -> None:
    intervals, values_S = made(), np.array([1.0, 2.0, 3.0])
    ends = around(intervals, values_S, known(scale=10.0), [95, 80, 95])
    assert list(ends) == ["lo-95", "lo-80", "hi-80", "hi-95"]
    stacked = np.stack(list(ends.values()))
    assert np.all(np.diff(stacked, axis=0) > 0)
    np.testing.assert_allclose(ends["lo-80"] + ends["hi-80"], 2 * values_S)
    np.testing.assert_allclose(ends["hi-80"] - values_S, 10 * intervals.radius_CNRVK[1, 0, 0, 79, :3], rtol=1e-6)


def test_a_length_between_two_calibrated_ones_gets_the_wider_interval() -> None:
    values_S, intervals = np.zeros(1), made()
    width = {n: float(around(intervals, values_S, known(n), [50])["hi-50"][0]) for n in (4, 5, 7, 8, 1000)}
    assert width[4] == width[5] == width[7] > width[8] == width[1000]
    narrow_first = Intervals.of(about(), intervals.radius_CNRVK[::-1])
    width = {n: float(around(narrow_first, values_S, known(n), [50])["hi-50"][0]) for n in (4, 5, 7, 8, 1000)}
    assert width[4] < width[5] == width[7] == width[8] == width[1000]


def test_uncalibrated_intervals_are_refused() -> None:
    intervals = made(rollouts=50)
    intervals.check(4, 5, [98])  # ⌈51 · 0.98⌉ = 50
    for context, steps, levels, field, allowed in [
        (3, 5, [80], "sequence", "at least 4"),
        (4, 6, [80], "steps", "at most 5"),
        (4, 5, [80, 99], "level", "at most 98"),
    ]:
        with pytest.raises(NoInterval, match=allowed) as refused:
            intervals.check(context, steps, levels)
        assert refused.value.field == field


def test_a_level_that_longer_sequences_lack_is_refused_for_all() -> None:
    random = np.random.default_rng(0)
    radii = [conformal_radius(random.normal(size=(rollouts, 5)))[None, None] for rollouts in (50, 9)]
    intervals = Intervals.of(about(), np.stack(radii))
    intervals.check(8, 5, [90])
    with pytest.raises(NoInterval, match="at most 90"):
        intervals.check(8, 5, [95])


def test_serialised_intervals_are_restored_or_refused() -> None:
    intervals = made()
    again = Intervals.from_bytes(intervals.to_bytes(), about())
    np.testing.assert_array_equal(again.radius_CNRVK, intervals.radius_CNRVK)
    cases: list[tuple[bytes, dict[str, Any]]] = [
        (b"", {}),
        (intervals.to_bytes(), {"contexts": [4]}),
        (intervals.to_bytes(), {"steps": [1, 5]}),
        (intervals.to_bytes(), {"noise_edges": [[0.5], [0.5]]}),
        (intervals.to_bytes(), {"noise_edges": [[], [0.5]]}),
        (intervals.to_bytes(), {"growth_edges": [[0.5], [0.5]]}),
        (intervals.to_bytes(), {"residual_edges": [[[0.5]], [[0.5]]]}),
        (intervals.to_bytes(), {"residual_edges": [[[]], [[0.5]]]}),
        (intervals.to_bytes()[:-1], {}),
    ]
    for content, other in cases:
        with pytest.raises((ValueError, EOFError)):
            Intervals.from_bytes(content, about().model_copy(update=other))


@pytest.mark.parametrize("outer", ["noise", "growth"])
def test_a_sequence_takes_the_radius_of_its_bins_and_of_the_steps_around(outer: str) -> None:
    edges = {f"{outer}_edges": [[0.1], [0.1]], "residual_edges": 2 * [[[0.2, 0.3], [0.4, 0.5]]]}
    made_of = about().model_copy(update={"steps": [1, 3, 5]} | edges)
    radius_CNRVK = np.arange(2 * 2 * 3 * LEVELS * 3, dtype=np.float32).reshape(2, 2, 3, LEVELS, 3)
    intervals = Intervals.of(made_of, radius_CNRVK)
    low = [(0.0, residual, (0, number)) for residual, number in ((0.1, 0), (0.199, 0), (0.2, 1), (0.3, 2), (1e9, 2))]
    high = [(0.11, residual, (1, number)) for residual, number in ((0.1, 0), (0.399, 0), (0.4, 1), (0.5, 2), (1e9, 2))]
    for value, residual, bins in low + high:
        state = known(scale=2.0, residual=residual, noise=value)
        if outer == "growth":
            state = known(scale=2.0, residual=residual, noise=0.5, later=value * residual)
        first, third, fifth = radius_CNRVK[1, *bins, 49]
        ends = around(intervals, np.zeros(5), state, [50])
        expected = [first, (first + third) / 2, third, (third + fifth) / 2, fifth]
        np.testing.assert_allclose(ends["hi-50"], 2 * residual * np.array(expected))
        rest = around(intervals, np.zeros(2), state, [50], first=3)
        np.testing.assert_allclose(rest["hi-50"], ends["hi-50"][3:])
        misses = around(intervals, np.zeros(5), state, [50], ratio=3.0)
        np.testing.assert_allclose(misses["hi-50"], ends["hi-50"] * (9 if outer == "noise" else 1))


def test_the_spread_is_the_residual_as_long_as_the_model_fits() -> None:
    assert spread_of(None, 7.0) == 7
    assert spread_of(Fit(0.5, 1.0, 0.5, 16, fits=True), 7.0) == 0.5
    assert spread_of(Fit(3.0, 1.0, 3.0, 16, fits=False), 7.0) == 27
    assert spread_of(Fit(9.0, 1.0, 9.0, 16, fits=False), 7.0) == 9 * 16


def test_the_growth_of_errors_is_relative_to_the_residual() -> None:
    assert growth_of(3.0, 2.0) == 1.5
    assert growth_of(3.0, 0.0) == 0, "a sequence without a residual has no growth"
    assert growths_of(np.array([3.0, 3.0]), np.array([2.0, 0.0])).tolist() == [1.5, 0.0]
