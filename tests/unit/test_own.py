"""Tests of models of your own series: what is chosen, fitted, measured and said."""

import json
import math
from dataclasses import replace
from pathlib import Path
from warnings import simplefilter

import numpy as np
import pytest

from model.artifact import read_artifact
from model.fit import fit_of
from model.members.reference import ReferenceMembers
from model.metadata import Calibration, Coverage
from model.runtime.select import open_runtime
from model.season import find_season
from training.__main__ import is_fit, main
from training.data import Floats
from training.own import regressions, smoothing
from training.own.backtest import LARGEST_RATIO, SMALLEST_RATIO, Errors, Trial, errors_of, evenly, forecasts, trials
from training.own.choice import TOO_FEW, choose, member_rollouts
from training.own.data import common_season, held_out_from, read_own, usual_horizon
from training.own.description import without_members
from training.own.fitting import calibrate, fitted_model
from training.own.forecasters import STATISTICAL, any_series, autoregressive, seasonal_naive, served, statistical
from training.own.members import Choice, fit, has_logarithms, usable
from training.own.pieces import Piece, pieces_of
from training.own.regressions import Candidate, candidates
from training.own.verdict import (
    FEW,
    caution,
    coverage_line,
    horizon_line,
    interval_caution,
    network_rank,
    rank_line,
    ranked,
    sentence,
    table,
)


def sales(length: int = 120, seed: int = 0, level: float = 50.0) -> Floats:
    """Return months of sales with a season and a trend."""
    t, random = np.arange(length), np.random.default_rng(seed)
    season_T = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8.0])[t % 12]
    values_T: Floats = level * (1 + 0.004 * t) + season_T * level / 20 + random.normal(size=length) * level / 50
    return values_T


def write(path: Path, values: Floats) -> Path:
    path.write_text("y\n" + "".join(f"{value:.6g}\n" for value in values))
    return path


def long_form(path: Path, series: dict[str, Floats]) -> Path:
    rows = [f"{name},{t},{x:.6g}\n" for name, x_T in series.items() for t, x in enumerate(x_T)]
    path.write_text("unique_id,ds,y\n" + "".join(rows))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a folder with months.csv and its model, and what the run has printed."""
    folder = tmp_path_factory.mktemp("own")
    write(folder / "months.csv", sales())
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("rich.console.Console.print", lambda _, *parts, **__: said.append(" ".join(map(str, parts))))
        assert main(["--data", str(folder / "months.csv"), "--runs", str(folder / "runs")]) == 0
    return folder, "\n".join(said)


def test_the_model_of_a_file_is_served_with_its_season_and_is_better_than_seasonal_naive(
    made: tuple[Path, str],
) -> None:
    artifact = read_artifact(made[0] / "runs" / "series" / "series.pt")
    about = artifact.metadata
    assert about.architecture.members is not None
    assert about.season == 12
    assert about.errors["mae"] < 1
    assert about.errors["mae"] <= 1.05 * about.errors["any/mae"]
    assert about.errors["seasonal_naive/mae"] == 1
    assert about.training["fitted_to"] == "all values"
    assert about.intervals is not None
    assert str(made[0]) not in about.model_dump_json(), "the metadata do not name the folder"
    values_S, _ = open_runtime(artifact, "cpu").runtime.forecast(sales().tolist(), 12, 12)
    assert np.abs(values_S / sales(132)[120:] - 1).mean() < 0.1


def test_the_artifact_holds_no_value_of_the_file(made: tuple[Path, str]) -> None:
    artifact = read_artifact(made[0] / "runs" / "series" / "series.pt")
    own = {round(float(x), 3) for x in sales()}
    assert not own & {round(x, 3) for case in artifact.golden.cases for x in case.sequence}


def test_the_same_file_gives_the_same_artifact(made: tuple[Path, str], tmp_path: Path) -> None:
    assert main(["--data", str(made[0] / "months.csv"), "--runs", str(tmp_path)]) == 0
    first, again = (folder / "series" / "series.pt" for folder in (made[0] / "runs", tmp_path))
    assert first.read_bytes() == again.read_bytes()


def test_the_verdict_comes_last(made: tuple[Path, str]) -> None:
    *_, season, horizon, intervals, rank, sentence_ = made[1].splitlines()
    assert season == "season: 12 values (a year of months), found in the values"
    assert horizon == "horizon: 12 values, which is 1 season"
    assert intervals.startswith("intervals: those of 80 % held")
    assert rank.startswith("rank ")
    assert "series.pt make serve" in sentence_


def test_the_reports_are_beside_the_artifact(made: tuple[Path, str]) -> None:
    folder = made[0] / "runs" / "series"
    assert {path.name for path in folder.iterdir()} >= {"series.pt", "series.pt.sha256", "errors.json", "rollout.png"}
    assert json.loads((folder / "errors.json").read_text())["mae"] < 1


def test_a_model_that_was_fitted_to_everything_is_measured_on_later_values_alone(
    made: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(made[0] / "runs" / "series" / "series.pt"), "--runs", str(tmp_path), "--data"]
    assert main([*command, str(made[0] / "months.csv")]) == 2
    assert "12 later values are needed" in capsys.readouterr().err
    longer = write(tmp_path / "longer.csv", np.concatenate([sales(), sales(140)[120:]]))
    assert main([*command, str(longer)]) == 0
    printed = capsys.readouterr().out
    assert "20 values in 1 series came after the training" in printed
    assert "forecasts of values it has not seen" in printed
    assert "this model" in (tmp_path / "series" / "evaluation.md").read_text()


def test_a_run_keeps_the_artifact_of_another_unless_it_is_told_to_replace_it(
    made: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(made[0] / "months.csv"), "--runs", str(made[0] / "runs")]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err


def test_without_a_refit_the_model_has_not_seen_the_held_out_part_and_a_season_may_be_told(tmp_path: Path) -> None:
    data = write(tmp_path / "months.csv", sales(72))
    options = ["--no-refit", "--season", "6", "--horizon", "5", "--runs", str(tmp_path)]
    assert main(["--data", str(data), *options]) == 0
    about = read_artifact(tmp_path / "series" / "series.pt").metadata
    assert (about.season, about.training["horizon"]) == (6, 5)
    assert about.training["fitted_to"] == "all values but the held-out part"
    assert about.training["command"] == "python -m training --data FILE --season 6 --horizon 5 --no-refit"


def test_a_short_or_constant_series_never_stops_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series = {str(number): sales(60, number, 10.0**number) for number in range(3)}
    series |= {"short": sales(9), "shorter": sales(3), "constant": np.full(30, 5.0)}
    data = long_form(tmp_path / "shops.csv", series)
    assert main(["--data", str(data), "--runs", str(tmp_path)]) == 0
    assert "left out 1 series of fewer than 8 values" in capsys.readouterr().out
    about = read_artifact(tmp_path / "series" / "series.pt").metadata
    assert about.data["series"] == 5
    assert about.errors["mae"] < 1


def test_eight_values_are_enough_and_seven_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(write(tmp_path / "eight.csv", sales(8))), "--runs", str(tmp_path)]) == 0
    assert read_artifact(tmp_path / "series" / "series.pt").metadata.architecture.members is None
    printed = capsys.readouterr().out
    assert "the horizon is 1 instead of" in printed
    assert "caution: 1 forecast of a held-out part this short says little" in printed
    assert "\n1 forecast of the last 20% of 1 series, 8 values:\n" in printed
    assert "the model is any alone: too few values change" in printed
    assert main(["--data", str(write(tmp_path / "seven.csv", sales(7))), "--runs", str(tmp_path)]) == 2
    assert "no series has 8 values" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--season", "0"], "season must be 1 to 366"),
        (["--origins", "0"], "origins must be 1 to 1,000"),
        (["--horizon", "25"], "horizon must be at most 24"),
        (["--name", "a/b"], "a name without slashes"),
        (["--epochs", "5"], "--epochs: for networks alone; --cell rnn, gru or lstm"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_wrong_option_is_refused_with_what_is_allowed(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "months.csv", sales())
    assert main(["--data", str(data), "--runs", str(tmp_path), *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "series").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--season", "0", "season must be 1 to 366, not 0"),
        ("--season", "-1", "season must be 1 to 366, not -1"),
        ("--season", "367", "season must be 1 to 366, not 367"),
        ("--horizon", "0", "horizon must be 1 to 10,000, not 0"),
        ("--origins", "0", "origins must be 1 to 1,000, not 0"),
        ("--origins", "1001", "origins must be 1 to 1,000, not 1001"),
    ],
)
@pytest.mark.parametrize("command", ["compare", "--data"])
def test_comparing_and_training_refuse_the_same_options(
    command: str, option: str, value: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "months.csv", sales())
    assert main([command, str(data), "--runs", str(tmp_path), option, value]) == 2
    assert message in capsys.readouterr().err


def test_constant_series_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(write(tmp_path / "flat.csv", np.full(50, 2.0))), "--runs", str(tmp_path)]) == 2
    assert "no series changes" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--cell", "--preset", "--inputs"])
def test_an_option_of_networks_trains_a_network(option: str) -> None:
    assert is_fit(["--data", "x.csv"])
    assert is_fit(["--data=x.csv"])
    assert not is_fit(["--data", "x.csv", option, "gru"])
    assert not is_fit(["--epochs", "3"])


def test_help_shows_the_options_of_a_user_of_data_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    places = [printed.index(f"--{name}") for name in ("data", "season", "horizon", "origins", "no-refit", "epochs")]
    assert places == sorted(places)


def test_compare_ranks_methods_without_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "months.csv", sales())
    assert main(["compare", str(data), "--runs", str(tmp_path), "--origins", "2"]) == 0
    printed = capsys.readouterr().out
    for name in ("any", "seasonal naive", "last value", "AR"):
        assert f"| {name}" in printed
    assert "season: 12 values" in printed
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.glob("*.pt")) == []


def test_compare_says_that_one_forecast_says_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(write(tmp_path / "eight.csv", sales(8))), "--runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "\n1 forecast of the last fifth of 1 series:\n" in printed
    assert caution(1) in printed


@pytest.mark.parametrize("name", STATISTICAL)
def test_the_methods_of_statsforecast_say_nothing_of_their_own(name: str, recwarn: pytest.WarningsRecorder) -> None:
    pytest.importorskip("statsforecast", reason="the extra `examples` is not installed: make test-statistics")
    simplefilter("always")
    for season in (1, 2, 3):
        for length in (8, 9, 10, 12):
            statistical(season)[name](np.exp2(np.arange(length, dtype=np.float64)), 2)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("season", [1, 12, 48])
@pytest.mark.parametrize("name", STATISTICAL)
def test_the_methods_of_statsforecast_forecast_with_any_season(name: str, season: int) -> None:
    pytest.importorskip("statsforecast", reason="the extra `examples` is not installed: make test-statistics")
    random = np.random.default_rng(3)
    x_N = np.sin(2 * np.pi * np.arange(300) / max(season, 20)) + 0.1 * random.normal(size=300)
    for given_N in (x_N, x_N[: season + 10]):
        forecast_S = statistical(season)[name](given_N, 5)
        assert np.isfinite(forecast_S).all()
        assert not np.array_equal(forecast_S, seasonal_naive(season)(given_N, 5)), "it was refused"


# The parts.


@pytest.mark.parametrize("form", [("mean", "level"), ("last", "season"), ("season", "moved"), ("last", "moved")])
def test_the_weights_of_a_regression_sum_to_one_and_fit_exact_recursions(
    form: tuple[regressions.Level, regressions.Simple],
) -> None:
    candidate = Candidate(4, (1, 2, 3, 4, 5), *form)
    u_N = np.random.default_rng(0).normal(size=200).cumsum()
    weights_FW = regressions.solve(candidate, regressions.moments(u_N, 10))
    np.testing.assert_allclose(weights_FW.sum(axis=1), 1, atol=1e-9)
    wave_N = 5 + np.sin(0.7 * np.arange(100))
    [weights_W] = regressions.solve(candidate, regressions.moments(wave_N, 10), [1e-12])
    forecast_FOS = regressions.rollouts(wave_N, weights_W[None], [60], 20)
    np.testing.assert_allclose(forecast_FOS[0, 0], wave_N[60:80], atol=0.05 if form == ("mean", "level") else 1e-3)


def test_a_large_ridge_leaves_the_simple_forecast() -> None:
    u_N = np.random.default_rng(0).normal(size=100)
    [weights_W] = regressions.solve(Candidate(4, (1, 2), "last", "season"), regressions.moments(u_N, 6), [1e12])
    np.testing.assert_allclose(weights_W, np.eye(7)[3], atol=1e-9)


def test_moments_of_series_add_up_whatever_their_level() -> None:
    one_N, other_N = sales(60, 0), sales(60, 1)
    candidate = candidates(12, 60)[0]
    both = regressions.moments(one_N, 30) + regressions.moments(other_N, 30)
    moved = regressions.moments(one_N + 1e4, 30) + regressions.moments(other_N, 30)
    np.testing.assert_allclose(regressions.solve(candidate, both), regressions.solve(candidate, moved), atol=1e-6)


def test_candidates_fit_into_the_series() -> None:
    for season in (1, 4, 7, 12, 24, 52, 168, 336):
        for length in (30, 100, 400, 3000):
            assert all(one.window + 20 <= length for one in candidates(season, length))
            assert all(min(one.lags) >= 1 for one in candidates(season, length))


def test_a_regression_that_amplifies_rounding_errors_is_known() -> None:
    calm_W, wild_W = np.array([1.0, 0, 0]), np.array([3.0, -2.0, 0])
    assert regressions.amplify(np.array([calm_W, wild_W])).tolist() == [False, True]


def test_a_ridge_that_lets_a_regression_amplify_is_raised() -> None:
    x_N = sales(120)
    x_N[118] = 0.5
    candidate = next(one for one in candidates(12, 90) if one.level == "season" and one.simple == "moved")
    moments_LL = regressions.moments(x_N, candidate.window)
    exploding_LL = moments_LL.copy()
    exploding_LL[1:, 0] *= 3
    assert regressions.amplify(regressions.solve(candidate, exploding_LL, [1e-4]))[0]
    assert not regressions.amplify(regressions.solve_stable(candidate, exploding_LL, 1e-4)[None])[0]
    calm_W = regressions.solve(candidate, moments_LL, [10.0])[0]
    assert not regressions.amplify(calm_W[None])[0]
    np.testing.assert_array_equal(regressions.solve_stable(candidate, moments_LL, 10.0), calm_W)


@pytest.mark.parametrize("seed", [6, 7])
def test_a_model_that_is_fitted_to_an_outlier_at_the_end_does_not_explode(seed: int) -> None:
    random = np.random.default_rng(seed)
    x_N = 100 + 25 * np.sin(np.pi * np.arange(120) / 6) + 5 * random.normal(size=120)
    artifact, runtime = any_series()
    choices = choose([x_N[:96]], 12, 12, served(runtime, 12))
    x_N[118] = 0.5
    model = fitted_model(artifact, usable(choices, [x_N]), [x_N])
    forecast_S = served(model.runtime, 12)(x_N, 500)
    assert forecast_S.min() > -50
    assert forecast_S.max() < 200


def test_logarithms_are_for_positive_series_without_values_near_zero() -> None:
    growing_N = np.exp(np.linspace(0, 5, 100)) * (2 + np.sin(np.arange(100) / 2))
    assert has_logarithms(growing_N)
    assert not has_logarithms(growing_N - growing_N.min())
    assert not has_logarithms(np.append(sales(100), 0.01))
    assert has_logarithms(sales(100))
    with_logarithms = Choice(12, True, (), (), 1, 12)
    without = replace(with_logarithms, logarithm=False)
    assert usable([with_logarithms, without], [growing_N] * 10) is with_logarithms
    assert usable([with_logarithms, without], [growing_N, np.zeros(9)]) is without
    assert usable([with_logarithms], [np.zeros(9)]) is None


def test_a_value_of_zero_in_the_held_out_part_is_no_reason_to_fit_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(1)
    t_N = np.arange(144)
    x_N = np.exp(3 + 0.01 * t_N + 0.8 * np.sin(np.pi * t_N / 6) + 0.15 * random.normal(size=144))
    x_N[135] = 0
    data = write(tmp_path / "months.csv", x_N)
    assert main(["--data", str(data), "--runs", str(tmp_path)]) == 0
    assert "which have no logarithms" in capsys.readouterr().out
    artifact = read_artifact(tmp_path / "series" / "series.pt")
    assert artifact.metadata.training["logarithm"] is False


def test_the_rollouts_of_candidates_are_those_of_the_reference() -> None:
    x_N = sales(100)
    piece = Piece(x_N / 10, 0.0, ((70, 80, 88),), 1.0)
    candidate, rate_5 = candidates(12, 80)[4], (0.25, 0.01, 0.98, 0.0, 0.2)
    choice = Choice(12, False, ((candidate, 0.1),), ((rate_5, 0.05),), 3, 36)
    weights = fit(choice, [piece.z_N[:70]])
    own_OS = member_rollouts(weights, piece, piece.folds[0], 12)
    for origin, own_S in zip(piece.folds[0], own_OS, strict=True):
        members = ReferenceMembers(weights)
        for z in piece.z_N[:origin]:
            members.observe(float(z))
        for z in own_S:
            expected = members.forecast()
            assert expected is not None
            assert z == pytest.approx(expected, abs=1e-9)
            members.feed_back(expected)


def test_the_rollouts_of_a_cell_and_its_errors_belong_together() -> None:
    u_N, rate_5, theta_RP = sales(90), (0.3, 0.01, 0.95, 0.05, 0.1), np.array([[0.2, 0.1], [0.0, 0.0]])
    error_N = smoothing.cell_errors(u_N, 36, rate_5, 4, 12)
    origins = np.arange(40, 89)
    forecast_ROS = smoothing.cell_rollouts(u_N, 36, rate_5, theta_RP, 4, 12, origins, 1)
    np.testing.assert_allclose(u_N[40:89] - forecast_ROS[1, :, 0], error_N[40:89], atol=1e-9)
    expected_O = forecast_ROS[1, :, 0] + 0.2 * error_N[39:88] + 0.1 * error_N[38:87]
    np.testing.assert_allclose(forecast_ROS[0, :, 0], expected_O, atol=1e-9)


def test_the_choice_sees_nothing_after_its_series_and_does_not_depend_on_their_units() -> None:
    x_N = sales(100)
    chosen = [choose([factor * x_N], 12, 6, seasonal_naive(12))[0] for factor in (1.0, 1000.0)]
    assert (chosen[0].regressions, chosen[0].logarithm) == (chosen[1].regressions, chosen[1].logarithm)
    assert chosen[0].error < chosen[0].error_alone
    assert all(max(fold) + 6 <= len(x_N) for piece in pieces_of([x_N], 12, 6) for fold in piece.folds)


def test_members_that_do_not_help_are_left_out() -> None:
    x_N = sales(100)

    def knows(past_N: Floats, steps: int) -> Floats:
        """Return what comes, in the units of the values given."""
        next_S: Floats = x_N[len(past_N) : len(past_N) + steps] * past_N[0] / x_N[0]
        return next_S

    assert choose([x_N], 12, 6, knows) == []


def test_members_count_half_with_many_values_and_nothing_with_few() -> None:
    assert choose([sales(TOO_FEW)], 1, 2, seasonal_naive(12)) == []
    few, many = (choose([sales(count)], 12, 6, seasonal_naive(12))[0] for count in (80, 400))
    assert few.weight == fit(few, [sales(80)]).weight == 0.25
    assert many.weight == 0.45
    together = choose([sales(80, seed) for seed in range(5)], 12, 6, seasonal_naive(12))[0]
    assert together.weight == 0.45, "series of a file count together"


def test_origins_and_series_are_evenly_spread() -> None:
    assert evenly(range(100), 3) == [0, 50, 99]
    [trial] = trials({"a": sales(50), "b": sales(9)}, {"a": 40, "b": 7}, 4, 3)
    assert (trial.name, trial.origins) == ("a", (40, 43, 46))
    assert forecasts(seasonal_naive(12), [trial], 4)[0].shape == (3, 4)


def test_errors_follow_their_definitions() -> None:
    x_N = np.array([1.0, 2, 1, 3, 1, 2, 2, 4])
    trial = Trial("a", x_N, 6, (6,))
    naive, made = [np.array([[1.0, 2.0]])], [np.array([[1.5, 4.0]])]
    errors = errors_of([trial], made, naive, 2)
    assert errors.mae == pytest.approx(0.5 / 3)
    assert errors.next_value == pytest.approx(0.5)
    assert errors.mase == pytest.approx(0.25 / (2 / 4))
    assert errors.rmsse == pytest.approx(math.sqrt(0.125) / math.sqrt(2 / 4))
    assert errors_of([trial], naive, naive, 2).mae == 1


def test_an_autoregression_continues_a_wave_and_never_leaves_the_numbers() -> None:
    wave_N = 7 + np.sin(0.5 * np.arange(80))
    np.testing.assert_allclose(autoregressive(wave_N, 10), 7 + np.sin(0.5 * np.arange(80, 90)), atol=1e-4)
    assert np.isfinite(autoregressive(np.exp(np.arange(30.0)), 500)).all()
    np.testing.assert_array_equal(autoregressive(np.full(20, 3.0), 3), np.full(3, 3.0))


def test_the_season_of_a_file_is_that_of_most_series(tmp_path: Path) -> None:
    series = {str(number): sales(96, number) for number in range(3)} | {
        "noise": np.random.default_rng(0).normal(size=96)
    }
    assert common_season(series) == 12
    own = read_own(long_form(tmp_path / "a.csv", series), None, None, None, None, None, None)
    assert (own.season, own.found, own.horizon) == (12, True, 12)
    assert own.known["0"] == held_out_from(96) == 77


def test_series_without_room_for_a_season_do_not_vote_against_it() -> None:
    old = {f"old {number}": sales(120, number) for number in range(4)}
    new = {f"new {number}": sales(14, number) for number in range(9)}
    assert common_season(old | new) == 12
    noise = {f"noise {seed}": np.random.default_rng(seed).normal(size=120) for seed in range(9)}
    assert common_season(old | noise) == 1
    assert common_season({"a": sales(33)}) == 12, "27 values are less than 2.5 seasons"


def test_any_is_compared_as_it_is_served(tmp_path: Path) -> None:
    data = long_form(tmp_path / "a.csv", {"a": sales(96), "b": sales(96, 1)})
    found, told = (read_own(data, None, None, None, None, season, None) for season in (None, 12))
    assert (found.season, found.told, told.told) == (12, None, 12)
    _, runtime = any_series()
    daily_N = np.tile([1.0, 2, 3, 4, 5, 9, 9], 12) + np.random.default_rng(0).normal(size=84) / 9
    np.testing.assert_array_equal(served(runtime, None)(daily_N, 7), served(runtime, 7)(daily_N, 7))


@pytest.mark.parametrize(("season", "horizon"), [(1, 10), (4, 8), (7, 14), (12, 12), (24, 24), (168, 24), (336, 48)])
def test_the_horizon_follows_from_the_season(season: int, horizon: int) -> None:
    assert usual_horizon(season) == horizon


def errors(**mae: float) -> dict[str, Errors]:
    return {name.replace("_", " "): Errors(value, value, value, value, value) for name, value in mae.items()}


def test_the_verdict_names_what_is_better() -> None:
    assert sentence(errors(this_model=0.5, any=0.6, seasonal_naive=1), "serve", 12).startswith("Serve it")
    assert sentence(errors(this_model=0.61, any=0.6, seasonal_naive=1), "serve", 12).startswith("Serve it")
    assert '"any"' in sentence(errors(this_model=0.9, any=0.6, seasonal_naive=1), "serve", 12)
    assert "last season is better" in sentence(errors(this_model=1.4, any=1.5, seasonal_naive=1), "serve", 12)
    assert "AR is better" in sentence(errors(this_model=0.9, any=0.9, AR=0.5), "serve", 12)
    assert "no worse" in sentence(errors(this_model=1.0, any=1.2, seasonal_naive=1), "serve", 12)
    assert ranked(errors(a=2, b=1)) == ["b", "a"]


def test_the_verdict_says_what_is_repeated() -> None:
    naive = errors(this_model=1.0, seasonal_naive=1)
    assert "than repeating the last season" in sentence(naive, "serve", 12)
    assert "than repeating the last value" in sentence(naive, "serve", 1)
    worse = errors(this_model=1.4, seasonal_naive=1)
    assert sentence(worse, "serve", 12) == "Do not serve it: repeating the last season is better."
    assert sentence(worse, "serve", 1) == "Do not serve it: repeating the last value is better."
    last = errors(this_model=0.9, last_value=0.5, seasonal_naive=1)
    assert sentence(last, "serve", 12) == "Do not serve it: repeating the last value is better."


def test_missing_intervals_have_the_reason_that_is_true() -> None:
    constant_N, moving_N = np.full(160, 5.0), np.arange(8.0)
    assert "do not change before" in coverage_line(None, [constant_N])
    assert "too few values before" in coverage_line(None, [constant_N, moving_N])
    assert "not measured" in coverage_line(measured(70, level=50), [moving_N])
    assert coverage_line(measured(78), [moving_N]).startswith("intervals: those of 80 % held 78 %")


def test_missing_members_have_the_reason_that_is_true(tmp_path: Path) -> None:
    for length, reason in ((TOO_FEW, "too few values change"), (200, "no members lowered the errors of any")):
        own = read_own(write(tmp_path / "a.csv", sales(length)), None, None, None, None, None, None)
        assert reason in without_members(own, [])
        assert "logarithms" in without_members(own, [Choice(12, True, (), (), 1, 12)])
    late = read_own(
        write(tmp_path / "late.csv", np.append(np.full(160, 5.0), sales(40))), None, None, None, None, None, None
    )
    assert "too few values change" in without_members(late, [])


def test_errors_beyond_the_limits_of_ratios_are_said_to_be_beyond_and_mase_ranks_them() -> None:
    smallest, largest = SMALLEST_RATIO, LARGEST_RATIO
    measured = {
        "this model": Errors(smallest, 0.0145, 0.0374, 0.04, 9e-4),
        "any": Errors(smallest, smallest, 0.0648, 0.07, 2e-3),
        "AR": Errors(smallest, smallest, 2.4e-13, 3e-13, 1e-14),
        "seasonal naive": Errors(1, 1, 12, 12, 0.3),
        "last value": Errors(largest, largest, 1300, 1300, 30),
    }
    assert ranked(measured) == ["AR", "this model", "any", "seasonal naive", "last value"]
    assert rank_line(measured) == (
        "rank 2 of 5: its mean error is ≤ 0.01 (MASE 0.0374) of that of seasonal naive; "
        "the best is AR with ≤ 0.01 (MASE 2.4e-13)"
    )
    assert sentence(measured, "serve", 12) == "Do not serve it: AR is better on these series."
    _, _, _, _, first, *_, last = str(table(measured, "")).splitlines()
    assert [cell.strip() for cell in first.split("|")[1:4]] == ["AR", "≤ 0.01", "≤ 0.01"]
    assert [cell.strip() for cell in last.split("|")[1:4]] == ["last value", "≥ 100", "≥ 100"]
    rounded = measured | {"this model": Errors(smallest, smallest, 1e-6, 1e-6, 1e-7)}
    assert sentence(rounded, "serve", 12).startswith("Serve it"), "both are exact up to rounding"


@pytest.mark.parametrize("count", [1, 3, 7])
def test_forecasts_of_series_that_repeat_exactly_are_ranked_by_their_rmse(count: int) -> None:
    x_N = np.tile([1.0, 2, 3, 10, 5, 6, 7], 30)
    every = [Trial(str(number), x_N, 168, (168,)) for number in range(count)]
    naive = [x_N[None, 168:182]] * count
    measured = {
        "this model": errors_of(every, [naive_OS + 0.1 for naive_OS in naive], naive, 7),
        "any": errors_of(every, [naive_OS + 0.01 for naive_OS in naive], naive, 7),
        "seasonal naive": errors_of(every, naive, naive, 7),
    }
    assert ranked(measured) == ["seasonal naive", "any", "this model"]
    assert rank_line(measured).startswith("rank 3 of 3: its mean error is ≥ 100 times that of seasonal naive; the best")


def test_few_forecasts_are_said_to_say_little() -> None:
    assert caution(FEW) == ""
    assert caution(1) == "caution: 1 forecast of a held-out part this short says little"
    assert "2 forecasts of a held-out part this short say little" in caution(2)


def measured(coverage: float, level: int = 80) -> Calibration:
    """Return the description of intervals of which one level was measured."""
    row = Coverage(context=64, level=level, lowest=0, mean=coverage, highest=100)
    return Calibration(contexts=[64], horizon=10, rollouts=40, coverage=[row])


@pytest.mark.parametrize(
    ("coverage", "forecasts", "said"),
    [
        (0, 10, "too narrow"),
        (48, 10, "too narrow"),
        (60, 10, ""),  # two of ten more than expected may be chance
        (60, 100, "too narrow"),
        (66, 1000, ""),
        (100, 10, ""),
        (100, 100, "too wide"),
        (94, 1000, ""),
        (0, 1, ""),
        (0, 0, ""),
    ],
)
def test_intervals_that_hold_far_from_their_level_are_not_to_be_trusted(
    coverage: float, forecasts: int, said: str
) -> None:
    caution = interval_caution(measured(coverage), forecasts)
    assert said in caution
    assert bool(said) == bool(caution)


def test_intervals_that_were_not_measured_have_no_caution() -> None:
    assert interval_caution(None, 10) == interval_caution(measured(0, level=50), 10) == ""


def test_a_run_whose_intervals_are_far_too_narrow_says_so_before_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(0).normal(size=200)
    values[100] = 1e4
    assert main(["--data", str(write(tmp_path / "outlier.csv", values)), "--runs", str(tmp_path)]) == 0
    *_, caution, _ = capsys.readouterr().out.splitlines()
    assert caution == "caution: the intervals are not to be trusted: they are too narrow on the held-out part"


def repeating(pattern: list[float], count: int, noise: float = 0.0) -> Floats:
    return np.tile(np.array(pattern, np.float64), count) + noise * np.random.default_rng(3).normal(
        size=count * len(pattern)
    )


@pytest.mark.parametrize(
    "values_N",
    [
        repeating([1, 2, 3, 10, 5, 6, 7], 30),
        repeating([1, -1], 100),
        repeating([0, 0, 0, 0, 1, 1, 1, 1], 26),
        repeating([1, 2, 3, 10, 5, 6, 7], 30, noise=0.3),
    ],
    ids=["week", "alternating", "square", "noisy week"],
)
def test_a_model_does_not_warn_of_its_own_series_but_of_others(values_N: Floats) -> None:
    artifact, runtime = any_series()
    known_N = values_N[: held_out_from(len(values_N))]
    season = find_season(known_N)
    calibration = calibrate(artifact, None, [known_N], season, 10, lambda folds: folds)
    assert calibration is not None
    expectations = calibration[2].expectations

    def fits(x_N: Floats) -> bool:
        fit = fit_of(expectations, runtime.forecast(x_N.tolist(), 1, season)[1])
        assert fit is not None
        return fit.fits

    assert all(fits(values_N[:end]) for end in range(len(values_N) - 30, len(values_N) + 1))
    assert not fits(np.random.default_rng(5).normal(size=200))


def test_the_horizon_is_said_in_seasons() -> None:
    assert horizon_line(24, 12) == "horizon: 24 values, which is 2 seasons"
    assert horizon_line(24, 168) == "horizon: 24 values, which is 0.14 of a season"
    assert horizon_line(1, 1) == "horizon: 1 value"


def test_the_rank_of_a_network_is_by_its_longest_rollout() -> None:
    measured = {"next_value_rmse": 0.1, "rollout_12_rmse": 0.5, "last_value/rollout_12_rmse": 0.4}
    assert network_rank(measured) == (
        "rank 2 of 2 by the RMSE over the whole horizon: last value 0.4, this network 0.5"
    )
