"""Tests that the season of a sequence is found in its values. Shape suffix: T time."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from model.runtime.seasons import season_of
from model.season import CALENDAR, LONGEST_SEASON, Floats, find_season
from training.families import AIRLINE
from training.prior.catalogue import SHARES, batch
from training.prior.kinds import walk

PHASES = math.tau * np.arange(8) / 8
SEASONS = (2, 4, 7, 12, 24, 30, 52, 168)


def pattern(season: int, count: int, seed: int = 0) -> Floats:
    """Return a random pattern of deviation 1, repeated to `count` values."""
    pattern_T = np.random.default_rng(seed).standard_normal(season)
    return np.resize(pattern_T / pattern_T.std(), count)


def wave(season: int, count: int) -> Floats:
    return np.sin(0.3 + math.tau * np.arange(count) / season)


def noise(count: int, size: float) -> Floats:
    return size * np.random.default_rng(1).standard_normal(count)


@pytest.mark.parametrize("season", [*SEASONS, 336, LONGEST_SEASON])
def test_a_repeated_pattern_has_its_length_as_season(season: int) -> None:
    assert find_season(pattern(season, 6 * season + 12)) == season


@pytest.mark.parametrize("season", [season for season in SEASONS if season > 2])
def test_a_wave_has_its_period_as_season(season: int) -> None:
    assert find_season(wave(season, 6 * season)) == season


DISTURBANCES: dict[str, Callable[[Floats], Floats]] = {
    "noise": lambda x_T: x_T + noise(len(x_T), 0.5),
    "a trend": lambda x_T: x_T + 0.1 * np.arange(len(x_T)),
    "a trend that bends": lambda x_T: x_T + 20 * np.linspace(-0.5, 1, len(x_T)) ** 2,
    "a level shift": lambda x_T: x_T + 5.0 * (np.arange(len(x_T)) > 0.6 * len(x_T)),
    "a random walk": lambda x_T: x_T + noise(len(x_T), 0.3).cumsum(),
    "spikes": lambda x_T: x_T + 5.0 * (np.random.default_rng(2).random(len(x_T)) < 0.02),
    "growth of level and season": lambda x_T: (x_T + 10) * np.exp(np.linspace(0, 2, len(x_T))),
    "rounding to whole numbers": lambda x_T: np.round(3 * x_T),
    "a floor": lambda x_T: np.maximum(x_T, 0),
}


@pytest.mark.parametrize("disturbance", DISTURBANCES)
@pytest.mark.parametrize("season", [4, 7, 12, 24])
def test_the_season_is_found_beside(disturbance: str, season: int) -> None:
    assert find_season(DISTURBANCES[disturbance](1.5 * pattern(season, 240))) == season


@pytest.mark.parametrize("season", [5, 12, 24])
def test_a_sawtooth_has_its_length_as_season(season: int) -> None:
    sawtooth_T: Floats = np.resize(np.linspace(0, season, season), 10 * season)
    assert find_season(sawtooth_T + noise(10 * season, 0.1)) == season


def test_the_season_of_airline_passengers_is_a_year() -> None:
    assert find_season(np.ravel(AIRLINE).astype(np.float64)) == 12


@pytest.mark.parametrize("season", [7, 12, 24])
def test_two_seasons_of_the_calendar_are_enough(season: int) -> None:
    assert find_season(pattern(season, 2 * season + 1)) == season


@pytest.mark.parametrize("season", CALENDAR)
def test_a_smooth_wave_of_the_calendar_is_found_in_three_periods_and_a_long_one_in_two(season: int) -> None:
    for periods in (2, 2.5, 3, 3.25, 4):
        if periods >= 3 or season >= 24 or (periods == 2.5 and season > 4):
            count = math.ceil(periods * season)
            assert {season_of(np.sin(phase + math.tau * np.arange(count) / season)) for phase in PHASES} == {season}


@pytest.mark.parametrize("season", [3, 5, 10, 20, 30, 60, 100, 200])
def test_a_smooth_wave_of_another_length_is_found_in_three_and_a_half_periods_and_not_in_two(season: int) -> None:
    for periods, found in ((2, False), (3.5, True), (6, True)):
        count = math.ceil(periods * season)
        seasons = {season_of(np.sin(phase + math.tau * np.arange(count) / season)) for phase in PHASES}
        assert seasons == {season} if found else season not in seasons


@pytest.mark.parametrize("season", [47, 51, 94, 165, 345])
def test_a_season_beside_one_of_the_calendar_is_told_from_it(season: int) -> None:
    assert {season_of(np.sin(phase + math.tau * np.arange(6 * season) / season)) for phase in PHASES} == {season}


@pytest.mark.parametrize("peak", [5, 15, 100])
@pytest.mark.parametrize("season", [7, 12, 24])
def test_one_outlier_neither_hides_the_season_nor_makes_another_one(season: int, peak: float) -> None:
    for seed in range(40):
        random = np.random.default_rng(seed)
        x_T = wave(season, 12 * season) + 0.1 * random.standard_normal(12 * season)
        x_T[random.integers(len(x_T))] += random.choice([-peak, peak])
        assert season_of(x_T) == season


def test_a_shift_of_the_level_does_not_hide_a_smooth_season() -> None:
    for shift in range(20, 220, 10):
        x_T = wave(12, 240) + noise(240, 0.1)
        assert season_of(x_T + 8 * (np.arange(240) >= shift)) == 12


@pytest.mark.parametrize("count", [130, 182, 260])
def test_a_week_of_high_sales_in_each_year_is_a_season(count: int) -> None:
    year_T = np.zeros(52)
    year_T[17:19] = 5, 7
    assert season_of(np.resize(year_T, count) + noise(count, 0.5)) == 52


@pytest.mark.parametrize("count", [60, 200, 1000])
def test_no_step_has_a_season(count: int) -> None:
    assert {season_of((np.arange(count) >= shift).astype(float)) for shift in range(1, count, count // 50)} == {1}


@pytest.mark.parametrize("changes", [2, 4, 10, 30])
def test_few_lists_of_prices_that_change_at_random_seem_to_have_a_season(changes: int) -> None:
    seasonal = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        step_T = np.zeros(200)
        step_T[random.choice(np.arange(1, 200), changes, replace=False)] = random.exponential(1, changes)
        seasonal.append(season_of(step_T.cumsum()) > 1)
    assert np.mean(seasonal) <= 0.1


def test_a_week_is_found_where_its_days_differ_and_a_day_where_they_do_not() -> None:
    day_T, week_T = wave(24, 1344), pattern(7, 56).repeat(24)
    assert find_season(day_T + noise(1344, 0.3)) == 24
    assert find_season(day_T + week_T + noise(1344, 0.3)) == 168


def test_a_sequence_too_short_for_the_week_has_the_season_of_a_day() -> None:
    assert find_season(wave(24, 150) + 0.3 * pattern(7, 7).repeat(24)[:150]) == 24


def unseasonal() -> Iterator[tuple[str, Floats | list[float]]]:
    line_T = np.linspace(7, 17, 100)
    yield "nothing", []
    yield "one value", [1.0]
    yield "five values", [1.0, 2.0, 1.0, 2.0, 1.0]
    yield "a constant", [0.1] * 100
    yield "zeros", [0.0] * 100
    yield "a line", line_T
    yield "a parabola", line_T * line_T
    yield "an exponential", np.exp(line_T / 2)
    yield "a step", np.repeat([0.0, 1.0], 50)
    yield "a spike", np.eye(1, 100, 40)[0]
    yield "half of a wave", wave(200, 100)


@pytest.mark.parametrize("values", [pytest.param(values, id=name) for name, values in unseasonal()])
def test_there_is_no_season_in(values: Floats | list[float]) -> None:
    assert find_season(values) == 1


@pytest.mark.parametrize("count", [30, 100, 300, 1000])
def test_few_sequences_without_a_season_seem_to_have_one(count: int) -> None:
    random = np.random.default_rng(3)
    for x_BT in (random.standard_normal((300, count)), random.standard_normal((300, count)).cumsum(axis=1)):
        assert np.mean([find_season(x_T) > 1 for x_T in x_BT]) < 0.2


@pytest.mark.parametrize("factor", [-1.0, 3.7, 1e-200, -1e-3, 1e15, 1e200])
@pytest.mark.parametrize("level", [0.0, 1e3, -1e5])
def test_the_season_does_not_depend_on_the_unit(factor: float, level: float) -> None:
    x_BT = np.concatenate([batch(np.random.default_rng(4), 24, 150, season) for season in (1, 12)])
    seasons = [find_season(x_T) for x_T in x_BT]
    assert len(set(seasons)) > 3
    assert [find_season(factor * (x_T + level)) for x_T in x_BT] == seasons


def test_the_season_is_the_same_each_time_and_leaves_the_values_as_they_are() -> None:
    x_T = wave(12, 200) + noise(200, 1)
    before_T = x_T.copy()
    assert {find_season(x_T), find_season(x_T.tolist()), find_season(x_T)} == {12}
    np.testing.assert_array_equal(x_T, before_T)


@pytest.mark.parametrize("count", [6, 7, 8, 9, 13, 64, 733, 4096])
def test_no_season_is_longer_than_half_of_the_sequence_or_than_the_longest(count: int) -> None:
    for x_T in np.random.default_rng(5).integers(0, 2, (50, count)):
        assert 1 <= find_season(x_T) <= min(count // 2, LONGEST_SEASON)


def test_the_season_of_most_synthetic_series_that_have_one_is_found() -> None:
    seasonal = {kind: share for kind, share in SHARES.items() if kind is not walk}
    found = []
    for season in (4, 7, 12, 24):
        x_BT = batch(np.random.default_rng(season), 200, 10 * season + 40, season, seasonal)
        likeness_B = (x_BT[:, season:] * x_BT[:, :-season]).mean(axis=1)
        found += [find_season(x_T) == season for x_T in x_BT[likeness_B > 0.3]]
    assert len(found) > 200
    assert np.mean(found) > 0.6
