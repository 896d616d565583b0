"""Tests of the synthetic prior: each kind of series does what its name says. Shape suffixes: B rows, T time."""

import math

import numpy as np
import pytest

from training.data import Floats
from training.prior import components, effects, kinds, positive, seasons
from training.prior.catalogue import CLEAN, NEEDS_SEASON, SHARES, Kind, batch
from training.prior.curriculum import CONTEXT, HORIZON, task
from training.prior.recursions import autoregression, smoothing

KINDS = list(SHARES)
UNSEASONAL = (kinds.walk, kinds.price, kinds.wave, positive.intermittent)  # or so in half of the rows
SEASONS = (1, 2, 3, 4, 7, 12, 24, 52, 168, 365, 366)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def likeness(x_BT: Floats, lag: int) -> Floats:
    """Return the autocorrelation [B] of each row at a lag."""
    centred_BT = x_BT - x_BT.mean(axis=1, keepdims=True)
    alike_B: Floats = (centred_BT[:, lag:] * centred_BT[:, :-lag]).mean(axis=1) / centred_BT.var(axis=1)
    return alike_B


@pytest.mark.parametrize("season", SEASONS)
@pytest.mark.parametrize("length", [2, 3, 50, 700])
def test_every_series_is_finite_and_changes(season: int, length: int) -> None:
    x_BT = batch(generator(), 64, length, season)
    assert x_BT.shape == (64, length)
    assert x_BT.dtype == np.float64
    assert np.isfinite(x_BT).all()
    assert (np.ptp(x_BT, axis=1) > 0).all()
    np.testing.assert_allclose(x_BT.std(axis=1), 1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("season", SEASONS)
def test_each_kind_is_finite_for_any_season_and_number_of_rows(kind: Kind, season: int) -> None:
    for count in (0, 1, 20):
        x_BT = kind(generator(1), count, 120, season)
        assert x_BT.shape == (count, 120)
        assert np.isfinite(x_BT).all()


def test_the_same_state_of_the_generator_gives_the_same_series() -> None:
    one, other = generator(2), generator(2)
    first_BT = batch(one, 64, 100, 12)
    np.testing.assert_array_equal(first_BT, batch(other, 64, 100, 12))
    assert not np.array_equal(first_BT, batch(one, 64, 100, 12))


def test_the_shares_choose_the_kinds() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    waves_BT = batch(generator(), 20, 200, 1, {kinds.wave: 2.0, positive.daylight: 5.0})
    assert (np.abs(likeness(waves_BT, 1)) > 0.3).mean() > 0.9, "without a season there is no daylight"
    with pytest.raises(ValueError, match="no kind of series has a share for season 1"):
        batch(generator(), 1, 10, 1, {positive.daylight: 1.0})


@pytest.mark.parametrize(("count", "length", "season"), [(0, 10, 1), (1, 1, 1), (1, 10, 0)])
def test_impossible_sizes_are_refused(count: int, length: int, season: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        batch(generator(), count, length, season)


def test_about_half_of_the_rows_are_positive() -> None:
    x_BT = batch(generator(), 2000, 60, 12)
    assert 0.45 < (x_BT.min(axis=1) >= 0).mean() < 0.75


@pytest.mark.parametrize("season", [4, 7, 12, 24])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in UNSEASONAL])
def test_seasonal_kinds_change_less_in_a_season_than_in_half_of_one(kind: Kind, season: int) -> None:
    x_BT = kind(generator(3), 300, 30 * season, season)
    alike_B = (x_BT[:, season:] - x_BT[:, :-season]).var(axis=1)
    unlike_B = (x_BT[:, season // 2 :] - x_BT[:, : -(season // 2)]).var(axis=1)
    assert np.median(alike_B / np.maximum(unlike_B, 1e-12)) < 0.97


@pytest.mark.parametrize("season", [2, 7, 12, 168, 366])
def test_a_profile_has_mean_0_and_deviation_1(season: int) -> None:
    profile_BP = seasons.profile(generator(), 200, season)
    np.testing.assert_allclose(profile_BP.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(profile_BP.std(axis=1), 1)
    assert not seasons.profile(generator(), 5, 1).any()


def test_days_within_weeks_repeat_after_a_week_exactly_and_after_a_day_nearly() -> None:
    x_BT = seasons.day_and_week(generator(), 100, 8 * 168, 24)
    np.testing.assert_allclose(x_BT[:, 168:], x_BT[:, :-168], atol=1e-12)
    assert np.median(likeness(x_BT, 24)) > 0.3
    assert (likeness(x_BT, 24) < 0.999).all()


def test_hours_have_a_week_that_the_season_of_a_day_does_not_say() -> None:
    for season in (24, 168):
        x_BT = np.diff(kinds.hours(generator(), 200, 12 * 168, season), axis=1)
        assert (likeness(x_BT, 168) > likeness(x_BT, 24)).mean() > 0.7


def test_waves_are_sines_that_two_values_continue() -> None:
    x_BT = kinds.wave(generator(), 300, 100, 12)
    worst_B = []
    for x_T in x_BT:
        lagged_T3 = np.stack([x_T[1:-1], x_T[:-2], np.ones(98)], axis=1)
        worst_B.append(np.abs(lagged_T3 @ np.linalg.lstsq(lagged_T3, x_T[2:])[0] - x_T[2:]).max())
    assert 0.4 < np.mean(np.array(worst_B) < 1e-9) < 0.7, "the others have noise or a second sine"


def test_waves_are_not_disturbed() -> None:
    assert {kinds.wave} == CLEAN
    x_BT = batch(generator(), 300, 100, 12, {kinds.wave: 1.0})
    assert (np.abs(np.diff(x_BT, 3, axis=1)).max(axis=1) < 1e-2 * np.ptp(x_BT, axis=1)).any()
    assert np.mean(np.ptp(x_BT, axis=1)) < 4, "outliers would make the range much wider than the deviation"


def test_a_random_walk_changes_by_as_much_in_each_step() -> None:
    step_BT = np.diff(components.random_walk(generator(), 500, 200), axis=1) * math.sqrt(200)
    assert abs(np.median(likeness(step_BT, 1))) < 0.02
    assert step_BT.std() == pytest.approx(1, rel=0.1)


def test_a_smooth_walk_has_momentum() -> None:
    assert np.median(likeness(np.diff(components.smooth_walk(generator(), 200, 200), axis=1), 1)) > 0.8


def test_a_level_shift_has_two_levels() -> None:
    x_BT = components.level_shift(generator(), 100, 50)
    assert {len(np.unique(x_T)) for x_T in x_BT} <= {1, 2}
    assert (np.abs(np.diff(x_BT, axis=1)).sum(axis=1) <= 1).all()


@pytest.mark.parametrize("period", [5, 12, 40])
def test_a_cycle_comes_back_after_about_its_period(period: int) -> None:
    x_BT = components.cycle(generator(), 400, 40 * period, np.full((400, 1), float(period)))
    assert np.median(likeness(x_BT, period)) > 0.1
    assert np.median(likeness(x_BT, period // 2)) < -0.1


def test_prices_are_positive_and_have_quiet_and_nervous_times() -> None:
    x_BT = kinds.price(generator(), 200, 600, 1)
    assert (x_BT > 0).all()
    return_BT = np.diff(np.log(x_BT), axis=1)
    assert abs(np.median(likeness(return_BT, 1))) < 0.05, "the direction of the next change is not known"
    assert np.median(likeness(np.abs(return_BT), 1)) > 0.03, "its size is, in part"


def test_growth_is_positive_and_its_season_grows_with_the_level() -> None:
    x_BT = positive.growth(generator(), 300, 240, 12)
    assert (x_BT > 0).all()
    early_B, late_B = np.ptp(x_BT[:, :24], axis=1), np.ptp(x_BT[:, -24:], axis=1)
    assert np.median(late_B / early_B) > 1.5
    assert np.median(x_BT[:, -24:].mean(axis=1) / x_BT[:, :24].mean(axis=1)) > 1.5


def test_counts_are_whole_numbers() -> None:
    x_BT = positive.counts(generator(), 100, 100, 7)
    assert (x_BT >= 0).all()
    np.testing.assert_array_equal(x_BT, np.round(x_BT))


def test_intermittent_demand_is_mostly_zero() -> None:
    x_BT = positive.intermittent(generator(), 200, 200, 12)
    assert (x_BT >= 0).all()
    assert np.median((x_BT == 0).mean(axis=1)) > 0.6
    assert x_BT.any()


def test_bounded_series_lie_between_0_and_1() -> None:
    x_BT = positive.bounded(generator(), 200, 200, 12)
    assert (x_BT >= 0).all()
    assert (x_BT <= 1).all()


def test_daylight_is_zero_at_night() -> None:
    x_BT = positive.daylight(generator(), 200, 240, 24)
    assert (x_BT >= 0).all()
    assert 0.2 < (x_BT == 0).mean() < 0.7
    assert {positive.daylight, kinds.hours} == NEEDS_SEASON


def test_weather_has_a_memory_beside_the_year() -> None:
    x_BT = kinds.temperature(generator(), 200, 365 * 4, 365)
    weather_BT = x_BT[:, 365:] - x_BT[:, :-365]
    assert np.median(likeness(weather_BT, 1)) > 0.5
    assert np.median(likeness(x_BT, 365)) > 0.3


def test_exponential_smoothing_without_noise_repeats_its_first_season() -> None:
    profile_BP = seasons.profile(generator(), 3, 5)
    weight_B4 = np.tile([0.5, 0.1, 1.0, 0.2], (3, 1))
    x_BT = smoothing(np.zeros((3, 20)), weight_B4, np.full(3, 0.1), profile_BP)
    np.testing.assert_allclose(x_BT, np.tile(profile_BP, 4) + 0.1 * np.arange(1, 21))


def test_an_autoregression_is_its_recursion() -> None:
    noise_BT = generator().standard_normal((2, 30))
    x_BT = autoregression(noise_BT, np.array([[0.5, -0.3], [0.2, 0.7]]), np.array([1, 4]))
    expected_BT = noise_BT[:, 4:] + np.array([[0.5], [0.2]]) * x_BT[:, 3:-1] + np.array([[-0.3], [0.7]]) * x_BT[:, :-4]
    np.testing.assert_allclose(x_BT[:, 4:], expected_BT)


def test_effects_do_what_their_names_say() -> None:
    x_BT = generator().standard_normal((200, 300))
    floor_BT, ceiling_BT = effects.floor(generator(), x_BT), effects.ceiling(generator(), x_BT)
    assert ((floor_BT == floor_BT.min(axis=1, keepdims=True)).sum(axis=1) > 10).all()
    assert ((ceiling_BT == ceiling_BT.max(axis=1, keepdims=True)).sum(axis=1) > 10).all()
    assert (effects.lifted(generator(), x_BT) > 0).all()
    np.testing.assert_allclose(effects.lifted(generator(), x_BT).std(axis=1), x_BT.std(axis=1))
    assert max(len(np.unique(x_T.round(9))) for x_T in effects.rounded(generator(), x_BT)) <= 102
    changed_BT = effects.outliers(generator(), x_BT) != x_BT
    assert 0 < changed_BT.mean() < 0.03


def test_tasks_have_contexts_of_all_lengths_and_seasons_that_fit() -> None:
    random = generator()
    tasks = [task(random) for _ in range(4000)]
    assert {each.season for each in tasks} > {1, 4, 7, 12, 24, 52, 168, 365}
    assert all(CONTEXT[0] <= each.context <= CONTEXT[1] for each in tasks)
    assert all(HORIZON[0] <= each.horizon <= HORIZON[1] for each in tasks)
    assert all(1 <= each.told <= 366 for each in tasks)
    assert 0.01 < np.mean([each.told != each.season for each in tasks]) < 0.1
    assert 0.03 < np.mean([each.context < 2 * each.season for each in tasks]) < 0.2
    assert min(each.context for each in tasks) < 6


def test_the_same_state_of_the_generator_gives_the_same_tasks() -> None:
    assert [task(random) for random in [generator(5)] for _ in range(20)] == [
        task(random) for random in [generator(5)] for _ in range(20)
    ]
