"""Tests of training from end to end, as a person runs it, and of its promises about the weights."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model.artifact import read_artifact
from model.metadata import CellKind
from model.runtime.select import Engine, open_runtime
from training import checkpoint
from training.__main__ import main, parse
from training.checkpoint import CheckpointError
from training.config import Config
from training.data import Waves
from training.export import command, export
from training.loop import begin, longer, make_deterministic, train
from training.losses import LARGEST_GAP, NARROWED, narrowed_units, share_narrowed
from training.progress import TrainingProgress
from training.record import Epoch
from training.report import loss_curve

ENGINES: tuple[Engine, ...] = ("fused", "torchscript")
SMALL = dataclasses.replace(
    Config(),
    waves=Waves(period=(20.0, 30.0)),
    hidden=8,
    epochs=2,
    batches=3,
    batch=16,
    finish=2,
    finish_horizons=(1, 8),
    finish_rows=16,
    interval_rollouts=200,
)


@pytest.fixture
def _global_settings_restored() -> Iterator[None]:
    """Restore the settings of the whole process that `make_deterministic` changes."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


SHORT = ["--hidden", "6", "--epochs", "3", "--batches", "4", "--finish", "3", "--finish-rows", "1"]
SHORT += ["--finish-horizons", "1", "6"]
"""The options of a run with Adam and the finish: nine epochs that take a second."""

KILLED = """
import os, signal, sys
from pathlib import Path
from training import checkpoint
from training.__main__ import main

save, last = checkpoint.save, int(sys.argv[1])

def save_or_be_killed(path, run, *rest):
    if len(run.record.history) > last:
        Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    save(path, run, *rest)

checkpoint.save = save_or_be_killed
sys.exit(main(sys.argv[2:]))
"""
"""`python -m training`, killed while it writes its state after the epoch that follows the first argument's."""


def article(directory: Path, *options: str) -> list[str]:
    files = ["--output", str(directory / "model.pt"), "--runs", str(directory)]
    return ["--preset", "article", "--interval-rollouts", "200", *files, *options]


def run(arguments: list[str], *program: str) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own, with `python -m training` unless a program is given."""
    command = [sys.executable, *(program or ("-m", "training")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Return the folder and the result of an undisturbed run, with TensorBoard's files in `logs`."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(article(folder, *SHORT, "--tensorboard", str(folder / "logs")))


def weights(config: Config) -> list[torch.Tensor]:
    make_deterministic(config)
    with TrainingProgress(config, Console(quiet=True)) as progress:
        return list(train(config, config.waves, progress).network.state_dict().values())


def assert_complete(directory: Path) -> None:
    """Check that the artifact can be served, and that the reports exist."""
    artifact = read_artifact(directory / "model.pt")
    open_runtime(artifact, "cpu")
    errors = json.loads((directory / "article" / "errors.json").read_text())
    assert errors == artifact.metadata.errors
    assert {"next_value_rmse", "last_value/next_value_rmse", "ar2/rollout_100_rmse"} <= errors.keys()
    for name in ("loss.png", "rollout.png"):
        assert (directory / "article" / name).read_bytes().startswith(b"\x89PNG")


def test_the_article_preset_leaves_an_artifact_plots_and_errors(
    whole: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, ran = whole
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "epoch 9/9" in ran.stdout, "without a terminal the output is plain lines"
    assert "rollout_10000_max" in ran.stdout
    adam, *_, last = [line for line in ran.stdout.splitlines() if "(the article: 0.0523 for 0.0510)" in line]
    assert re.match(r"after 3 epochs with Adam: predicted -?\d\.\d{4} for 0\.0509 after an unseen window", adam)
    assert re.match(r"after 3 epochs with Adam and \d of least squares: predicted -?\d\.\d{4} for 0\.0509", last)
    assert ran.stdout.index(adam) < ran.stdout.index("epoch 9/9") < ran.stdout.index(last)
    assert_complete(folder)
    metadata = read_artifact(folder / "model.pt").metadata
    assert (metadata.name, metadata.architecture.hidden, metadata.training["epochs"]) == ("article", 6, 3)
    assert parse(["--preset", "article"]).hidden == 32
    assert str(folder) not in metadata.model_dump_json(), "the metadata do not name the folder"


def test_the_article_preset_begins_with_the_article_s_recipe() -> None:
    """Adam, the mean square of the next value's error, a zero hidden state, 100 epochs, and nothing else."""
    preset = parse(["--preset", "article"])
    assert (preset.cell, preset.hidden, preset.epochs, preset.context) == ("rnn", 32, 100, (50, 50))
    assert (preset.closed_loop, preset.noise) == (0, 0)
    assert preset.finish > 0
    assert preset.finish_noisy == 0


def test_the_loss_curve_has_each_stage_where_it_was() -> None:
    history = [Epoch(1e-3, 0.0, 1, 0.1)] * 3 + [Epoch(0.0, 1e-6, 16, 0.01)] * 2
    top, _ = loss_curve(history, Waves()).axes
    curves = {str(line.get_label()): list(np.asarray(line.get_xdata())) for line in top.lines}
    shown = {label: places for label, places in curves.items() if not label.startswith("_")}
    assert list(shown.values()) == [[1, 2, 3], [4, 5], [1, 2, 3, 4, 5]]
    assert [label.split(":")[0] for label in shown] == ["Adam", "least squares", "rollouts that select"]


def test_a_run_that_was_killed_resumes_to_the_same_bytes(
    whole: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Kill runs after the first epoch and in the finish. Each process has its own order of sets and its own id."""
    folder, _ = whole
    saved = tmp_path / "article" / checkpoint.FILE
    assert not (folder / "article" / checkpoint.FILE).exists(), "nothing is left to resume"
    for epochs, resume in ((1, []), (5, ["--resume"])):
        killed = run(article(tmp_path, *SHORT, *resume), "-c", KILLED, str(epochs))
        assert (killed.returncode, epochs_in(saved)) == (-signal.SIGKILL, epochs), killed.stderr
    resumed = run(article(tmp_path, *SHORT, "--resume"))
    assert "resumed after epoch 5/9" in resumed.stdout
    assert (tmp_path / "model.pt").read_bytes() == (folder / "model.pt").read_bytes()


def epochs_in(saved: Path) -> int:
    with safe_open(saved, framework="pt") as file:
        return len(json.loads(file.metadata()["state"])["history"])


def test_a_checkpoint_of_another_run_is_refused_and_so_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = dataclasses.replace(SMALL, runs=tmp_path, resume=True)
    saved = tmp_path / checkpoint.FILE
    begun = begin(config, config.waves)
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        checkpoint.load(saved, begun, config, config.waves)
    checkpoint.save(saved, begun, config, config.waves)
    other = dataclasses.replace(config, epochs=3, seed=1)
    with pytest.raises(CheckpointError, match="another epochs and seed"):
        checkpoint.load(saved, begun, other, other.waves)
    with pytest.raises(CheckpointError, match="another data"):
        checkpoint.load(saved, begun, config, Waves(period=(20.0, 31.0)))
    saved.write_bytes(saved.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot be resumed from"):
        checkpoint.load(saved, begun, config, config.waves)
    assert main(["--resume", "--runs", str(tmp_path / "empty"), "--output", str(tmp_path / "model.pt")]) == 2
    assert "there is no checkpoint" in capsys.readouterr().err


def test_tensorboard_shows_every_epoch(whole: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    curves = EventAccumulator(str(whole[0] / "logs")).Reload()
    assert [event.step for event in curves.Scalars("rollout_rmse")] == list(range(1, 10))
    assert {"one_step", "closed_loop", "horizon"} <= set(curves.Tags()["scalars"])


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--seed 3",
        "--preset article",
        "--preset article --cell gru --noise 0.1 --finish-horizons 1 5 --waves.period 20.0 30.0",
    ],
)
def test_the_command_in_the_metadata_trains_the_same(options: str) -> None:
    config = parse(options.split())
    assert command(config) == f"python -m training {options}".strip()
    assert parse(command(config).split()[3:]) == config


def test_the_command_for_series_does_not_name_the_file(tmp_path: Path) -> None:
    config = parse(["--data", str(tmp_path / "mine.csv"), "--column", "secret", "--hidden", "20"])
    assert command(config) == "python -m training --preset series --data FILE --hidden 20"


def test_ctrl_c_keeps_the_best_so_far_and_exports_it(tmp_path: Path) -> None:
    arguments = article(tmp_path, "--epochs", "100000", "--batches", "2", "--finish", "0")
    command = [sys.executable, "-m", "training", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("epoch 1/100000")
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=180)
    assert (process.returncode, error) == (0, "")
    assert "interrupted after" in output
    assert_complete(tmp_path)


def test_a_directory_in_place_of_the_model_is_refused_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "is a directory" in said.err
    assert said.out == ""


@pytest.mark.usefixtures("_global_settings_restored")
def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again = weights(SMALL), weights(SMALL)
    other = weights(dataclasses.replace(SMALL, seed=1))
    assert len(first) > 0
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.usefixtures("_global_settings_restored")
def test_every_cell_learns_and_its_artifact_is_served_by_both_runtimes(cell: CellKind, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, cell=cell, hidden=20, epochs=4, batches=15, output=tmp_path / "model.pt")
    make_deterministic(config)
    with TrainingProgress(config, Console(quiet=True)) as progress:
        trained = train(config, config.waves, progress)
    assert trained.history[-1].one_step < 0.5 * trained.history[0].one_step
    artifact = export(trained, config, config.waves, {})
    assert artifact.metadata.architecture.cell == cell
    for engine in ENGINES:
        open_runtime(artifact, "cpu", engine)


@pytest.mark.usefixtures("_global_settings_restored")
def test_the_best_weights_are_those_of_the_last_stage_with_the_lowest_rollout_error() -> None:
    make_deterministic(SMALL)
    with TrainingProgress(SMALL, Console(quiet=True)) as progress:
        trained = train(SMALL, SMALL.waves, progress)
    errors = [epoch.rollout_rmse for epoch in trained.history]
    assert len(errors) == SMALL.epochs + SMALL.finish * len(SMALL.finish_horizons)
    last_stage = errors[-SMALL.finish :]
    assert trained.best_epoch == len(errors) - SMALL.finish + 1 + last_stage.index(min(last_stage))


def test_the_horizon_grows_only_when_the_closed_loop_follows_and_only_up_to_its_limit() -> None:
    assert longer(8, SMALL.grow_below * 2, SMALL) == 8
    assert longer(8, SMALL.grow_below / 2, SMALL) == 9
    assert longer(SMALL.horizon[1], 0.0, SMALL) == SMALL.horizon[1]
    assert longer(1, 0.0, dataclasses.replace(SMALL, closed_loop=0.0)) == 1, "the horizon stays 1 without a closed loop"


def test_some_windows_have_the_units_of_a_narrower_range() -> None:
    torch.manual_seed(0)
    x_BT = torch.sin(torch.rand(4000, 1, dtype=torch.float64) * 6 + torch.arange(40) / 3)
    low_B, high_B = x_BT.amin(dim=1), x_BT.amax(dim=1)
    level_B, scale_B = narrowed_units(x_BT)
    whole_B = torch.isclose(level_B, (low_B + high_B) / 2) & torch.isclose(scale_B, (high_B - low_B) / 2)
    assert float(whole_B.double().mean()) == pytest.approx(1 - NARROWED, abs=0.05)
    for gap_B in (level_B - scale_B - low_B, high_B - level_B - scale_B):
        assert float(gap_B.min()) >= -1e-12
        assert LARGEST_GAP - 0.002 < float((gap_B / (high_B - low_B)).max()) <= LARGEST_GAP
    assert narrowed_units(torch.ones(3, 5, dtype=torch.float64))[1].tolist() == [0, 0, 0]
    assert torch.equal(narrowed_units(x_BT, share=0.0)[1], (high_B - low_B) / 2)
    assert [share_narrowed(parse(["--preset", name])) for name in ("default", "article", "series")] == [0.3, 0, 0.3]
