"""Tests of the calibration of fit and intervals: its bins, its noise, its coverage, and windows that are difficult."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from model.artifact import network_of, read_artifact, read_weights
from model.fit import FEWEST, fit_of
from model.intervals import LEVELS, Intervals, spread_of
from model.metadata import Architecture, Calibration, Fitting
from model.network import Network
from model.runtime.select import open_runtime
from tests.artifacts import MakeArtifact
from training.calibration import BIN, SHOWN_DB, calibrate, covered
from training.config import Config
from training.data import Source, Waves
from training.families import AIRLINE, COUNT, families
from training.forecasts import fits_of, forecasts, noisy, spreads_of
from training.series import Series

WAVES = Waves(period=(8.0, 64.0), amplitude=(1e-3, 1e3), level=(-100.0, 100.0))
CONFIG = dataclasses.replace(
    Config(), interval_rollouts=3000, interval_horizon=40, interval_contexts=(4, 16, 48), context_evaluated=48
)
FITTING = Fitting(contexts=[8, 32], clean=[0.1, 0.01], noisiest=[0.4, 0.3], largest_ratio=[3.0, 2.0])


@pytest.fixture(autouse=True)
def _few_fresh_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.calibration.FRESH", 800)


@pytest.fixture(scope="module")
def network() -> Network:
    """Return a network with random weights. Calibration assumes nothing about a network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(Architecture(cell="rnn", hidden=8))


def calibrated(network: Network, config: Config, source: Source) -> tuple[Intervals, Calibration, Fitting]:
    intervals, about, fitting = calibrate(network, config, source)
    assert intervals is not None
    assert about is not None
    assert fitting is not None
    return intervals, about, fitting


@pytest.fixture(scope="module")
def of_waves(network: Network) -> tuple[Intervals, Calibration, Fitting]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.calibration.FRESH", 800)
        return calibrated(network, CONFIG, WAVES)


def test_the_bins_have_equally_many_windows_and_every_level_a_radius(
    of_waves: tuple[Intervals, Calibration, Fitting],
) -> None:
    intervals, about, _ = of_waves
    assert about.noise_edges is not None
    assert about.residual_edges is not None
    assert np.shape(about.noise_edges) == (3, 0), "4 values have no noise"
    assert np.shape(about.residual_edges) == (3, 1, 5), "3,000 windows are six bins of 500"
    assert all(inner == sorted(inner) for edges in about.residual_edges for inner in edges)
    assert about.rollouts == BIN
    assert about.steps == [1, 2, 4, 8, 16, 32, 40]
    assert intervals.radius_CNRVK.shape == (3, 1, 6, LEVELS, 7)
    assert np.isfinite(intervals.radius_CNRVK).all()


def test_sequences_with_noise_have_bins_of_noise_and_residual(network: Network) -> None:
    config = dataclasses.replace(CONFIG, interval_contexts=(16, 48), interval_horizon=4)
    intervals, about, _ = calibrated(network, config, WAVES)
    assert np.array(about.noise_edges).shape == (2, 2)
    assert np.array(about.residual_edges).shape == (2, 3, 1)
    assert about.rollouts == BIN
    assert intervals.radius_CNRVK.shape == (2, 3, 2, LEVELS, 3)


def test_the_intervals_hold_on_fresh_waves_over_all_levels_of_noise_and_on_fresh_waves_alone(
    of_waves: tuple[Intervals, Calibration, Fitting],
) -> None:
    _, about, _ = of_waves
    kinds = list(dict.fromkeys(row.of for row in about.coverage))
    assert kinds == [*SHOWN_DB, "two sines", "sine with a trend", "random walk", "airline passengers"]
    assert {row.context for row in about.coverage if row.of in SHOWN_DB} == {4, 16, 48}
    assert {row.context for row in about.coverage if row.of not in SHOWN_DB} == {48}
    assert all(row.lowest <= row.mean <= row.highest for row in about.coverage)
    for context in about.contexts:
        held = [row.mean for row in about.coverage if (row.context, row.level) == (context, 90) and row.of in SHOWN_DB]
        assert np.mean(held) == pytest.approx(90, abs=3), "an untrained network knows little of the noise"


def test_the_windows_that_calibrated_are_covered_as_often_as_the_level_says(network: Network) -> None:
    """At a stored step, the radius of a level is the smallest that covers enough of these very windows."""
    config = dataclasses.replace(CONFIG, interval_rollouts=1000, interval_horizon=2, interval_contexts=(16,))
    source = Series({"y": np.random.default_rng(0).standard_normal(4000)}, horizon=2)
    intervals, about, fitting = calibrated(network, config, source)
    windows = forecasts(network, source.calibration(16, 2, 1000).all())
    bins = math.prod(intervals.radius_CNRVK.shape[1:3])
    for row in covered(intervals, fitting, windows, "all"):
        assert row.level <= row.lowest <= row.highest <= row.level + 100 * bins / about.rollouts + 0.2


def test_the_fit_is_that_of_held_out_waves(network: Network, of_waves: tuple[Intervals, Calibration, Fitting]) -> None:
    _, _, fitting = of_waves
    assert fitting.contexts == [8, 16, 48], "fewer than 8 values have no fit"
    for context, clean, noisiest, largest in zip(
        fitting.contexts, fitting.clean, fitting.noisiest, fitting.largest_ratio, strict=True
    ):
        waves, random = WAVES.held_out(context, 1, 4000), np.random.default_rng(1)
        fresh = {snr: forecasts(network, noisy(waves, np.full(4000, snr), random)) for snr in (math.inf, 10.5, 30.0)}
        assert np.mean(fresh[math.inf].residual_B <= clean) == pytest.approx(0.99, abs=0.01)
        assert np.mean(fresh[10.5].residual_B <= noisiest) == pytest.approx(0.5, abs=0.15)
        ratios = [fit.ratio for each in fresh.values() for fit in fits_of(fitting, each) if fit]
        assert np.mean(np.array(ratios) <= largest) > 0.995
    assert list(fitting.warned) == [*SHOWN_DB, "two sines", "sine with a trend", "random walk", "airline passengers"]
    assert all(0 <= share <= 100 for share in fitting.warned.values())


def test_the_same_settings_give_the_same_calibration(
    network: Network, of_waves: tuple[Intervals, Calibration, Fitting]
) -> None:
    intervals, about, fitting = calibrated(network, CONFIG, WAVES)
    assert (about, fitting) == of_waves[1:]
    np.testing.assert_array_equal(intervals.radius_CNRVK, of_waves[0].radius_CNRVK)


def test_noise_has_the_strength_that_its_level_says_and_goes_on_after_the_values_given() -> None:
    waves = WAVES.held_out(64, 40, 500)
    snr_B = np.where(np.arange(500) % 2, 10.0, 30.0)
    snr_B[0] = math.inf
    for clean, with_noise in zip(waves.all(), noisy(waves, snr_B, np.random.default_rng(0)), strict=True):
        noise_BT = (with_noise - clean).numpy()
        assert not noise_BT[0].any()
        power_B = np.square(noise_BT[1:]).mean(axis=1) / (waves.amplitude_B[1:] ** 2 / 2)
        for snr in (10.0, 30.0):
            assert 10 * np.log10(power_B[snr_B[1:] == snr].mean()) == pytest.approx(-snr, abs=0.2)


@pytest.mark.parametrize("context", [2, 4, 8, 33, 64])
def test_forecasts_are_those_that_are_served(make_artifact: MakeArtifact, context: int) -> None:
    artifact = read_artifact(make_artifact(cell="lstm", hidden=8, fit=FITTING))
    network, runtime = network_of(artifact.metadata), open_runtime(artifact, "cpu", "fused").runtime
    assert isinstance(network, Network)
    network.load_state_dict(read_weights(artifact))
    windows = noisy(WAVES.held_out(context, 5, 20), np.full(20, 20.0), np.random.default_rng(0))
    each = forecasts(network, windows)
    states = runtime.encode(windows[0].tolist())
    served_BS, _ = runtime.rollout(states, 5)
    for number, state in enumerate(states):
        error_S = (served_BS[number] - windows[1][number].numpy()) / state.scale
        np.testing.assert_allclose(each.error_BS[number], error_S, atol=1e-5)
        assert (each.residual_B[number], each.noise_B[number]) == pytest.approx((state.residual, state.noise), abs=1e-6)
        fit = fit_of(FITTING.expectations, state)
        assert spreads_of(FITTING, each)[number] == pytest.approx(spread_of(fit, state.scale) / state.scale, rel=1e-4)
        assert (fits_of(FITTING, each)[number] is None) == (fit is None) == (context < FEWEST)


def test_constant_windows_are_left_out(network: Network) -> None:
    x_BT, y_BS = WAVES.held_out(16, 3, 40).all()
    x_BT[::4] = 7.0
    each = forecasts(network, (x_BT, y_BS), np.arange(40.0))
    assert each.snr_B.tolist() == [number for number in range(40) if number % 4]
    assert len(each) == 30
    nothing = forecasts(network, (x_BT[::4], y_BS[::4]))
    assert len(nothing) == 0
    assert nothing.error_BS.shape == (0, 3)


def test_a_series_that_stands_still_for_days_is_calibrated_on_the_others(network: Network) -> None:
    random = np.random.default_rng(0)
    values_T = np.where(np.arange(3000) % 200 < 120, 0.0, random.standard_normal(3000))
    intervals, about, fitting = calibrated(network, CONFIG, Series({"y": values_T}, horizon=4))
    assert np.isfinite(intervals.radius_CNRVK).all()
    assert {row.of for row in about.coverage} == set(fitting.warned) == {"all"}


def test_a_series_without_a_change_where_it_is_calibrated_has_no_intervals(network: Network) -> None:
    values_T = np.where(np.arange(1000) < 600, np.arange(1000.0), 600.0)
    assert calibrate(network, CONFIG, Series({"y": values_T}, horizon=4)) == (None, None, None)


def test_a_series_that_repeats_itself_has_no_empty_bin(network: Network) -> None:
    values_T = (np.arange(20_000) % 3).astype(np.float64)
    config = dataclasses.replace(CONFIG, interval_contexts=(16,))
    intervals, about, _ = calibrated(network, config, Series({"y": values_T}, horizon=4))
    assert np.isfinite(intervals.radius_CNRVK).all()
    assert about.rollouts >= BIN // 2


@pytest.mark.parametrize(("rollouts", "levels"), [(9, [50, 80, 90]), (8, [50, 80]), (1, [50])])
def test_a_level_that_too_few_rollouts_calibrate_has_no_coverage(
    network: Network, rollouts: int, levels: list[int]
) -> None:
    """Of n rollouts, none is beyond a level above 100 n / (n + 1)."""
    config = dataclasses.replace(CONFIG, interval_rollouts=rollouts, interval_contexts=(16,))
    intervals, about, _ = calibrated(network, config, WAVES)
    assert intervals.highest == 100 * rollouts // (rollouts + 1)
    assert sorted({row.level for row in about.coverage}) == levels


@pytest.mark.parametrize("rollouts", [1, 2, 50])
def test_few_rollouts_calibrate_too(network: Network, rollouts: int) -> None:
    for source in (WAVES, Series({"y": np.random.default_rng(0).standard_normal(400)}, horizon=4)):
        config = dataclasses.replace(CONFIG, interval_rollouts=rollouts, interval_contexts=(16,))
        _, about, fitting = calibrated(network, config, source)
        assert about.rollouts == rollouts
        assert fitting.contexts == [8, 16]


def test_kinds_are_measured_after_the_usual_number_of_values_or_fewer(network: Network) -> None:
    for usual, measured_after in ((48, 48), (100, 48), (20, 16), (8, 16)):
        config = dataclasses.replace(CONFIG, interval_rollouts=100, interval_contexts=(16, 48), context_evaluated=usual)
        _, about, fitting = calibrated(network, config, WAVES)
        assert {row.context for row in about.coverage if row.of == "random walk"} == {measured_after}
        assert {"clean", "random walk"} <= fitting.warned.keys()


def test_no_rollouts_make_no_intervals_and_no_fit(network: Network) -> None:
    config = dataclasses.replace(CONFIG, interval_rollouts=0)
    assert calibrate(network, config, WAVES) == (None, None, None)


def test_contexts_beyond_the_airline_series_are_measured_without_it(network: Network) -> None:
    config = dataclasses.replace(CONFIG, interval_rollouts=100, interval_contexts=(16, 150), context_evaluated=150)
    _, about, _ = calibrated(network, config, WAVES)
    assert "random walk" in {row.of for row in about.coverage}
    assert "airline passengers" not in {row.of for row in about.coverage}


def test_families_are_always_the_same_and_what_their_names_say() -> None:
    first, again = families(64, 24), families(64, 24)
    assert list(first) == ["two sines", "sine with a trend", "random walk", "airline passengers"]
    for name, (x_BT, y_BS) in first.items():
        assert torch.equal(x_BT, again[name][0])
        assert x_BT.shape[1:] == (64,)
        assert y_BS.shape[1:] == (24,)
    assert {len(x_BT) for name, (x_BT, _) in first.items() if name != "airline passengers"} == {COUNT}
    x_BT, y_BS = first["airline passengers"]
    assert torch.equal(torch.cat([x_BT[0], y_BS[0], y_BS[1:, -1]]).long(), torch.tensor(AIRLINE).ravel())
