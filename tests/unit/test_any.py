"""Tests of the training of a model for any series, `python -m training --preset any`."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from model.anchored import AnchoredNetwork
from model.artifact import read_artifact
from model.metadata import Architecture
from model.runtime.select import open_runtime
from tests.training_process import train
from training import checkpoint
from training.__main__ import main, parse
from training.anchored import forecast
from training.card import model_card
from training.checks import check_memory
from training.config import PRESETS
from training.export import command
from training.measures import predictor_of
from training.prior.source import Prior
from training.series import open_source

TINY: tuple[str, ...] = (
    *("--preset", "any", "--epochs", "3", "--batches", "2", "--batch", "4", "--hidden", "4", "--context", "3", "60"),
    *("--interval-rollouts", "600", "--interval-horizon", "10", "--interval-contexts", "16", "40"),
)
MODEL = Path("runs/any/any.pt")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an undisturbed run."""
    folder = tmp_path_factory.mktemp("any")
    ran = train(folder, *TINY)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "as fractions of the error of seasonal naive" in ran.stdout
    return folder


def test_a_run_leaves_an_artifact_that_both_runtimes_serve_with_a_season(trained: Path) -> None:
    artifact = read_artifact(trained / MODEL)
    assert artifact.metadata.architecture == Architecture(inputs="anchors", cell="gru", hidden=4)
    assert [case.season for case in artifact.golden.cases] == [12, 1, 24, 7, 2]
    sequence = Prior(7).example(50)
    fused, scripted = (open_runtime(artifact, "cpu", kind).runtime for kind in ("fused", "torchscript"))
    expected_S, _ = scripted.forecast(sequence, 10, 7)
    values_S, _ = fused.forecast(sequence, 10, 7)
    np.testing.assert_allclose(values_S, expected_S, atol=1e-3)
    assert not np.allclose(values_S, fused.forecast(sequence, 10, 1)[0], atol=1e-2), "the season matters"


def test_a_run_leaves_errors_relative_to_seasonal_naive_and_plots(trained: Path) -> None:
    errors = read_artifact(trained / MODEL).metadata.errors
    assert errors["seasonal_naive/rollout_mae"] == errors["seasonal_naive/next_value_mae"] == pytest.approx(1)
    assert {"next_value_mae", "rollout_mae", "last_value/rollout_mae", "mean_of_anchors/rollout_mae"} <= errors.keys()
    for name in ("loss.png", "rollout.png"):
        assert (trained / "runs/any" / name).read_bytes().startswith(b"\x89PNG")


def test_a_run_calibrates_intervals_and_the_fit_on_unseen_series(trained: Path) -> None:
    artifact = read_artifact(trained / MODEL)
    about, intervals, fit = artifact.metadata.intervals, artifact.intervals, artifact.metadata.fit
    assert about is not None
    assert intervals is not None
    assert fit is not None
    assert about.noise_edges is None
    assert about.growth_edges is not None
    assert len(about.growth_edges) == 2, "the anchors know how errors grow"
    assert (intervals.contexts, intervals.horizon, fit.contexts) == ((16, 40), 10, [8, 16, 40])
    coverage = {(row.context, row.level): row.mean for row in about.coverage}
    assert len(coverage) == 8
    for (_, level), mean in coverage.items():
        assert mean == pytest.approx(level, abs=6), "on 600 fresh series"
    assert fit.warned["all"] < 2


def test_its_model_card_says_what_its_errors_are_relative_to(trained: Path) -> None:
    card = model_card(read_artifact(trained / MODEL))
    assert "as fractions of the error of seasonal naive" in card
    assert "mean of anchors" in card
    assert "has learned from synthetic series alone" in card


def test_the_tables_of_windows_are_refused_in_one_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained / MODEL), "--runs", str(trained / "runs")]) == 2
    assert "was trained on synthetic series" in capsys.readouterr().err


def die_in_the_second_epoch() -> None:
    """End the process without notice once the second epoch has been trained."""
    import os

    save, number = checkpoint.save, [0]

    def save_once(*rest: object) -> None:
        number[0] += 1
        if number[0] == 2:
            os._exit(9)
        save(*rest)  # type: ignore[arg-type]

    vars(checkpoint)["save"] = save_once


def test_a_killed_run_that_is_resumed_leaves_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    assert train(tmp_path, *TINY, plant=die_in_the_second_epoch).returncode == 9
    assert not (tmp_path / MODEL).exists()
    resumed = train(tmp_path, *TINY, "--resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "resumed after epoch 1/3" in resumed.stdout
    assert (tmp_path / MODEL).read_bytes() == (trained / MODEL).read_bytes()


def test_another_seed_gives_other_weights(trained: Path, tmp_path: Path) -> None:
    ran = train(tmp_path, *TINY, "--seed", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / MODEL).read_bytes() != (trained / MODEL).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--layers 0", "layers must be at least 1, not 0"),
        ("--finish 1", "finish must be 0 with anchors, not 1"),
        ("--context 2 60", "context must be at least 3 with anchors, not 2"),
        ("--data series.csv", "inputs must be value on your own series, not anchors"),
    ],
    ids=lambda text: text.split()[0],
)
def test_settings_that_anchors_cannot_have_are_refused(
    options: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["--preset", "any", *options.split()])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("options", ["--preset any", "--preset any --cell lstm --layers 2 --horizon 4 12"])
def test_the_command_in_the_metadata_trains_the_same(options: str) -> None:
    config = parse(options.split())
    assert command(config) == f"python -m training {options}"
    check_memory(config)
    assert isinstance(open_source(config), Prior)


def test_anchors_need_no_preset() -> None:
    config = parse(["--inputs", "anchors", "--finish", "0", "--interval-rollouts", "0", "--hidden", "8"])
    assert isinstance(open_source(config), Prior)
    assert parse(command(config).split()[3:]) == config


def test_pictures_show_windows_with_their_season() -> None:
    network = AnchoredNetwork(Architecture(inputs="anchors", hidden=4))
    prior = Prior(7)
    x_BT, _ = prior.held_out(30, 9, 4).all()
    values_BS = predictor_of(network, prior)(x_BT, 9)
    assert torch.equal(values_BS, partial(forecast, network)(x_BT, 9, 7))


def test_the_preset_trains_a_network_of_the_size_that_is_served() -> None:
    config = PRESETS["any"]
    assert config.architecture == Architecture(inputs="anchors", cell="gru", hidden=64)
    assert config.architecture.parameters < 30_000
