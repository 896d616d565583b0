"""Tests of the benchmarks' computations. They measure no time."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import accuracy, document, report, tanh_fit
from benchmarks.accuracy import context_errors, coverage_errors, wave_errors
from benchmarks.load import Measured, medians
from benchmarks.models import BOUNDS, WIDER, Bound, Model, coverage_of, target_table
from benchmarks.peers.registry import PEERS, VARIANTS, by_name
from benchmarks.report import Table, Target
from benchmarks.sequences import GIVEN, digits, sequence_table, seven
from model.artifact import Artifact, read_artifact
from model.metadata import Coverage, Fitting
from model.runtime import gates
from model.runtime.select import open_runtime
from tests.artifacts import MakeArtifact, some_intervals
from training.baselines import one_sine
from training.config import PRESETS
from training.data import BANDS, HELD_OUT


def test_the_fit_finds_the_coefficients_of_the_kernel() -> None:
    found = tanh_fit.fit()
    for mine, served in ((found.P, gates._P), (found.Q, gates._Q)):
        assert [np.float32(f"{c:.9g}") for c in mine] == list(served)


def test_the_fit_is_as_good_as_the_kernel_says() -> None:
    absolute, relative = tanh_fit.errors(tanh_fit.fit(), np.float32)
    assert max(absolute, relative) < 4e-7


@pytest.mark.parametrize(
    ("measured", "at_most", "verdict"),
    [
        (3.0, False, "met"),
        (1.0, False, "missed by 50 %"),
        (1.0, True, "met"),
        (3.0, True, "missed by 50 %"),
        (1.9958, False, "missed by 0.2 %"),
        (2.000001, True, "missed by 5e-05 %"),
    ],
)
def test_a_target_says_by_how_much_it_is_missed(measured: float, at_most: bool, verdict: str) -> None:
    assert Target("work", measured, 2.0, at_most).row()[-1] == verdict


def test_disturbed_rounds_count_only_if_there_are_no_others() -> None:
    quiet, disturbed = (Measured(rate, 1, 1, 0, 1, 1, foreign) for rate, foreign in ((100.0, 0.0), (1.0, 0.5)))
    assert medians([quiet, disturbed]).rate == 100.0
    assert medians([disturbed]).disturbed


def test_a_page_gets_its_tables_from_the_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {"tables": {"steps, µs": {"columns": ["a", "b"], "rows": [["1", "2"]]}}, "machine": {"cores": "2"}}
    monkeypatch.setattr(document, "load", {"kernel": measured}.get)
    page = (
        "before\n<!-- bench kernel.steps, µs -->\nold\n<!-- /bench -->\n<!-- bench other.x -->\nkept\n<!-- /bench -->\n"
    )
    filled = document.filled(page)
    assert str(Table(["a", "b"], [["1", "2"]])) in filled
    assert "old" not in filled
    assert "kept" in filled
    assert document.filled(filled) == filled


@pytest.mark.parametrize("path", document.PAGES, ids=lambda path: path.name)
def test_every_marker_of_a_page_is_closed(path: Path) -> None:
    page = path.read_text()
    assert page.count("<!-- bench ") == page.count("<!-- /bench -->") == len(document._PLACE.findall(page))


def test_every_peer_has_a_name_of_its_own() -> None:
    names = [peer.name for peer in (*PEERS, *VARIANTS)]
    assert len(set(names)) == len(names)
    assert [by_name(name).name for name in names] == names


def test_numbers_keep_three_digits() -> None:
    assert [report.number(value) for value in (0.012345, 1.2345, 123.45, 12345.6)] == [
        "0.0123",
        "1.23",
        "123",
        "12,346",
    ]


KINDS = ("clean", "40 dB", "30 dB", "20 dB", "10 dB", "two sines", "random walk")
FITTING = Fitting(contexts=[8, 32], clean=[0.1, 0.01], noisiest=[0.4, 0.3], largest_ratio=[3.0, 2.0])


@pytest.fixture
def artifact(make_artifact: MakeArtifact) -> Artifact:
    """Return an untrained artifact with intervals, a coverage of them, and a fit."""
    made = read_artifact(make_artifact(intervals=some_intervals((8, 64), rollouts=500), rollouts=500, fit=FITTING))
    assert made.metadata.intervals is not None
    coverage = [
        Coverage(context=context, of=kind, level=level, lowest=level - 4, mean=level - shift, highest=level + 1)
        for shift, kind in enumerate(KINDS)
        for context in ((8, 64) if kind.endswith(("clean", "dB")) else (64,))
        for level in (80, 90, 95)
    ]
    about = made.metadata.intervals.model_copy(update={"coverage": coverage})
    return dataclasses.replace(made, metadata=made.metadata.model_copy(update={"intervals": about}))


def test_the_seven_sequences_are_answered_by_the_runtime_that_serves(artifact: Artifact) -> None:
    runtime = open_runtime(artifact, "cpu", "fused").runtime
    table = sequence_table(artifact)
    assert len(table.rows) == 7
    for (name, sequence_T), row in zip(seven().items(), table.rows, strict=True):
        assert sequence_T.shape == (GIVEN + 1,)
        values_S, _ = runtime.forecast(sequence_T[:GIVEN].tolist(), 1)
        shown, ratio, warning, value, truth, interval = row
        assert (shown, value, truth) == (name, digits(values_S[0]), digits(sequence_T[-1]))
        assert (warning == "yes") == (float(ratio.replace(",", "")) > 2)
        lower, upper = (float(end.replace(",", "")) for end in interval.split(" to "))
        assert lower <= float(value.replace(",", "")) <= upper
    assert table.rows[0][1] == table.rows[1][1], "a level and another amplitude change no ratio"


def test_the_sine_of_the_seven_sequences_is_held_out() -> None:
    waves = PRESETS["default"].waves
    (low, high), (first, last) = map(np.log, waves.period), waves.phase
    for place in ((math.log(math.tau / 0.33) - low) / (high - low), (0.5 - first) / (last - first)):
        assert abs(place * BANDS % 1 - 0.5) < HELD_OUT / 2
    np.testing.assert_allclose(one_sine(torch.from_numpy(seven()["sine"][None, :GIVEN]), 1)[0], seven()["sine"][-1:])


def test_errors_are_those_of_unseen_waves_of_some_periods(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "COUNT", 60)
    runtime, waves = open_runtime(artifact, "cpu", "fused").runtime, PRESETS["default"].waves
    errors = wave_errors(runtime, waves, 64) | {"step_us": 0.0, "minutes": 0.0} | coverage_errors(artifact)
    assert {bound.key for bound in (*BOUNDS["default"], *WIDER)} <= errors.keys()
    assert all(0 <= value < math.inf for value in errors.values())
    unseen = waves.held_out(64, 100, 60)
    x_BT, y_BS = (part[torch.from_numpy(unseen.period_B <= 48)] for part in unseen.all())
    values_BS, _ = runtime.rollout(runtime.encode(x_BT.tolist()), 100)
    error_BS = (values_BS - y_BS.numpy()) / unseen.amplitude_B[unseen.period_B <= 48, None]
    assert errors["rmse_100_to_48"] == pytest.approx(np.sqrt(np.square(error_BS).mean()))
    few = context_errors(runtime, waves, 16)
    assert few[0] == errors["rmse_100_from_16"]
    assert len(few) == 3


def test_coverage_is_read_from_the_metadata(artifact: Artifact) -> None:
    assert coverage_errors(artifact) == pytest.approx(
        {"coverage_off": 4, "coverage_off_short": 4, "families_outside": 100 - 95 + 6}
    )
    tables = coverage_of(artifact)
    assert tables["coverage"].columns == ["given, level", *KINDS[:5]]
    assert tables["coverage"].rows[1] == ["8 values, 95 %", "95.0", "94.0", "93.0", "92.0", "91.0"]
    assert tables["coverage_furthest"].rows[0] == ["8 values, 80 %", *["76.0"] * 5]
    assert tables["families"].rows == [["64 values, 80 %", "75.0", "74.0"], ["64 values, 95 %", "90.0", "89.0"]]


def test_a_bound_counts_the_seeds_that_meet_it_and_none_only_shows() -> None:
    bounds = (Bound("error", "e", 1e-4), Bound("minutes", "m", math.inf))
    table = target_table(bounds, [{"e": 5e-5, "m": 70.0}, {"e": 2e-4, "m": 71.0}])
    assert table.columns == ["", "target", "seed 0", "seed 1", "met by"]
    assert table.rows == [
        ["error", "≤ 1.0e-04", "5.0e-05", "2.0e-04", "1 of 2"],
        ["minutes", "", "70.0", "71.0", ""],
    ]
    assert target_table(bounds[1:], [{"m": 70.0}]) == Table(["", "seed 0"], [["minutes", "70.0"]])


def test_the_value_after_adam_is_read_from_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.models.FOLDER", tmp_path)
    (tmp_path / "article-0").mkdir()
    log = tmp_path / "article-0" / "log"
    log.write_text("epoch 1/200\nafter 100 epochs with Adam: predicted 0.0504 for 0.0509 after an unseen window (…)\n")
    assert Model("article-0", ()).after_adam() == {"adam_predicted": 0.0504, "adam_true": 0.0509}
    log.write_text("epoch 1/200\n")
    with pytest.raises(RuntimeError, match="delete its folder"):
        Model("article-0", ()).after_adam()
