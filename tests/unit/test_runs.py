"""Tests of what a run leaves behind when it fails, is refused, is interrupted, or is one of two."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.artifact import digest_path, network_of, read_artifact, read_weights, save_artifact
from tests.server import ROOT
from tests.training_process import train
from training import checkpoint, export
from training.__main__ import main, parse
from training.calibration import calibrate

TINY = ("--cell", "rnn", "--epochs", "2", "--batches", "3", "--hidden", "4", "--interval-rollouts", "50")


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def started(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """Start `python -m training` as a process of its own, and wait for the end of its first epoch."""
    command = [sys.executable, "-m", "training", *options, "--epochs", "100000"]
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("epoch 1/100000")
    return process


def one_line(ran: subprocess.CompletedProcess[str], status: int) -> str:
    """Return what a run said on stderr, which must be one line and no traceback."""
    assert ran.returncode == status, ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
    return ran.stderr


def write(path: Path, values: np.ndarray) -> Path:
    path.write_text("y\n" + "".join(f"{value:.12g}\n" for value in values))
    return path


def wave(length: int = 180) -> np.ndarray:
    random = np.random.default_rng(0)
    return 10 + np.sin(np.arange(length) / 3) + 0.1 * random.standard_normal(length)


def contents(folder: Path) -> dict[str, str]:
    """Return the digests of all files except the lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `series.csv` and a model of it."""
    folder = tmp_path_factory.mktemp("trained")
    write(folder / "series.csv", wave())
    ran = train(folder, "--data", "series.csv", *TINY)
    assert (ran.returncode, ran.stderr) == (0, "")
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder `trained`."""
    subprocess.run(["cp", "-r", f"{trained}/.", str(tmp_path)], check=True)
    return tmp_path


MODEL = Path("runs/series/series.pt")


def test_a_run_writes_to_its_own_folder_and_leaves_no_other_file(trained: Path) -> None:
    inside = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    reports = {f"runs/series/{name}" for name in ("errors.json", "loss.png", "rollout.png", "lock")}
    assert inside == {"series.csv", str(MODEL), f"{MODEL}.sha256", *reports}


@pytest.mark.parametrize(
    "options",
    [
        ("--learning-rate", "1e30", "--clip", "1e30"),
        ("--learning-rate", "1e30", "--clip", "1e9"),
        ("--input-gain", "1e300"),
        ("--noise", "1e300"),
    ],
    ids=lambda options: options[0] + options[1],
)
def test_a_run_that_diverges_says_so_and_leaves_everything_as_it_was(folder: Path, options: tuple[str, ...]) -> None:
    before = contents(folder)
    said = one_line(train(folder, "--data", "series.csv", *TINY, "--overwrite", *options), 1)
    assert "training diverged at epoch" in said
    assert "lower --learning-rate or --clip" in said
    after = contents(folder)
    after.pop(f"runs/series/{checkpoint.FILE}", None)  # the epochs before
    assert after == before


def test_weights_that_are_not_finite_at_the_start_are_a_divergence_of_the_finish_too(tmp_path: Path) -> None:
    finish = ("--finish", "1", "--finish-rows", "1", "--finish-horizons", "1")
    said = one_line(train(tmp_path, "--preset", "article", *finish, "--input-gain", "1e300"), 1)
    assert "training diverged at epoch 1" in said
    assert not list(tmp_path.rglob("*.pt"))


def fill_the_disk() -> None:
    """Limit the size of files, which stands for a full disk: a checkpoint is smaller, and an artifact is larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (14_000, 14_000))


def test_a_full_disk_leaves_the_old_artifact_and_one_line_that_names_the_path(folder: Path) -> None:
    before = contents(folder)
    ran = train(folder, "--data", "series.csv", *TINY, "--overwrite", "--seed", "1", plant=fill_the_disk)
    said = one_line(ran, 1)
    assert f"{MODEL} cannot be written: File too large" in said
    assert "--resume" in said
    after = contents(folder)
    assert after.pop(f"runs/series/{checkpoint.FILE}")
    assert after == before
    resumed = train(folder, "--data", "series.csv", *TINY, "--overwrite", "--seed", "1", "--resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert contents(folder)[str(MODEL)] != before[str(MODEL)]


REFUSED = {
    "directory": (["--output", "."], "is a directory"),
    "below a file": (["--output", "series.csv/x.pt"], "output: nothing can be written in series.csv"),
    "no place for files": (["--output", "/proc/x.pt"], "output: nothing can be written in /proc"),
    "device": (["--output", "/dev/null", "--overwrite"], "is a device or a pipe"),
    "long name": (["--output", "x" * 250 + ".pt"], "File name too long"),
    "runs is a file": (["--runs", "series.csv"], "runs: nothing can be written in series.csv/series"),
    "long name of a run": (["--name", "x" * 300], "File name too long"),
    "TensorBoard in a file": (["--output", "b.pt", "--tensorboard", "series.csv"], "tensorboard: nothing can be"),
    "huge seed": (["--seed", "99999999999999999999"], "seed must be 0 to 9223372036854775807"),
    "negative seed": (["--seed", "-1"], "seed must be 0 to 9223372036854775807"),
    "name upwards": (["--name", ".."], "name must be a name without slashes"),
    "long interval context": (["--interval-contexts", "48", "170"], "interval-contexts cannot contain 170"),
    "huge network": (["--hidden", "1000000000"], "hidden, layers need about"),
    "huge batch": (["--batch", "1000000000"], "batch, context, horizon need about"),
    "huge epoch": (["--batches", "1000000000"], "batches, batch need about"),
    "huge context": (["--context", "48", "1000000000"], "batch, context, horizon need about"),
    "huge number of given values": (["--context-evaluated", "1000000000"], "context-evaluated, hidden need about"),
    "huge horizon": (["--horizon", "24", "1000000000"], "need about"),
    "many threads": (["--threads", "100000"], "threads must be at most 256"),
    "many layers": (["--layers", "100000"], "layers must be at most 100"),
    "more than can be counted": (["--epochs", "1" + "0" * 400], "epochs must be at most 1,000,000,000"),
    "artifact of another run": (["--seed", "1"], "--overwrite replaces it"),
}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command line in this process, which is fast. Return its one line on stderr."""
    status: object
    try:
        status = main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    said = capsys.readouterr()
    assert (status, said.out, said.err.count("\n")) == (2, "", 1), said
    return said.err


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_before_the_training(
    trained: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, message = REFUSED[name]
    before = contents(trained)
    monkeypatch.chdir(trained)
    assert message in refused(["--data", "series.csv", *TINY, *options], capsys)
    assert contents(trained) == before


def test_a_refusal_is_one_line_of_the_command_line_too(trained: Path) -> None:
    before = contents(trained)
    for options, message in (REFUSED["no place for files"], REFUSED["huge seed"]):
        ran = train(trained, "--data", "series.csv", *TINY, *options)
        assert message in one_line(ran, 2)
        assert ran.stdout == ""
    assert contents(trained) == before


@pytest.mark.parametrize("option", ["--interval-rollouts", "--finish-rows", "--finish-horizons"])
def test_absurd_sizes_of_a_training_on_waves_are_refused(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert option[2:] in refused([option, "1000000000"], capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        ("--season", "100"),  # longer than the given values
        ("--context-evaluated", "4"),
        ("--waves.amplitude", "1e300", "1e300"),
        ("--output", "modèle.pt"),
        ("--output", "new/folder/with spaces.pt"),
    ],
    ids=lambda options: options[0] + options[1],
)
def test_unusual_settings_that_are_allowed_train_to_the_end(tmp_path: Path, options: tuple[str, ...]) -> None:
    ran = train(tmp_path, *TINY, "--finish", "0", *options)
    assert (ran.returncode, ran.stderr) == (0, "")
    [path] = tmp_path.rglob("*.pt")
    read_artifact(path)
    subprocess.run(["sha256sum", "--check", digest_path(path).name], cwd=path.parent, check=True, capture_output=True)


def test_a_folder_has_one_run_at_a_time_and_a_killed_run_locks_nothing(folder: Path) -> None:
    options = ("--data", "series.csv", "--overwrite", *TINY)
    with started(folder, *options) as first:
        said = one_line(train(folder, *options), 2)
        assert "another run is in runs/series: choose another --name or --runs" in said
        elsewhere = train(folder, *options, "--name", "second")
        assert (elsewhere.returncode, elsewhere.stderr) == (0, "")
        first.kill()
        first.wait(60)
    again = train(folder, *options)
    assert (again.returncode, again.stderr) == (0, "")


def interrupt(module: str, function: str) -> None:
    """Let Ctrl-C come at the beginning of a function."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    setattr(import_module(module), function, interrupted)


@pytest.mark.parametrize(
    ("module", "function", "written"),
    [
        ("training.run", "evaluate", False),
        ("training.export", "save_artifact", False),
        ("training.report", "rollout_picture", True),
    ],
)
def test_ctrl_c_after_the_training_ends_in_one_line_and_resume_completes_the_run(
    trained: Path, tmp_path: Path, module: str, function: str, written: bool
) -> None:
    options = ("--data", str(trained / "series.csv"), *TINY)
    said = one_line(train(tmp_path, *options, plant=partial(interrupt, module, function)), 130)
    assert "--resume" in said
    assert (tmp_path / MODEL).exists() == written
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".new-") or path.suffix == ".partial"]
    if written:
        assert "--overwrite" in one_line(train(tmp_path, *options), 2), "a new run is another run"
    resumed = train(tmp_path, *options, "--resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert contents(tmp_path) == {name: digest for name, digest in contents(trained).items() if name != "series.csv"}


def test_ctrl_c_before_the_first_epoch_ends_in_one_line_and_writes_nothing(trained: Path, tmp_path: Path) -> None:
    for module, function in (("training.loop", "train_epoch"), ("training.run", "open_source")):
        planted = partial(interrupt, module, function)
        ran = train(tmp_path, "--data", str(trained / "series.csv"), *TINY, plant=planted)
        assert "interrupted" in one_line(ran, 130)
        assert contents(tmp_path) == {}


def test_a_stop_by_sigterm_is_like_ctrl_c(trained: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--data", str(trained / "series.csv"), *TINY) as process:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=180)
    assert process.returncode == 0
    assert "interrupted after" in output
    read_artifact(tmp_path / MODEL)


def let_another_run_write() -> None:
    """Let another run write the artifact of the same name during the calibration."""

    def calibrate_while_another_run_ends(*rest: Any) -> Any:
        Path("mine.pt").write_text("precious")
        return calibrate(*rest)

    vars(export)["calibrate"] = calibrate_while_another_run_ends


def test_an_artifact_that_appears_during_the_training_is_not_replaced(trained: Path, tmp_path: Path) -> None:
    options = ("--data", str(trained / "series.csv"), *TINY, "--output", "mine.pt")
    said = one_line(train(tmp_path, *options, plant=let_another_run_write), 1)
    assert "mine.pt exists: --overwrite replaces it" in said
    assert "--resume" in said
    assert (tmp_path / "mine.pt").read_text() == "precious"
    resumed = train(tmp_path, *options, "--resume", "--overwrite")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    read_artifact(tmp_path / "mine.pt")


def test_resume_knows_data_by_all_values_and_their_order(trained: Path, tmp_path: Path) -> None:
    values = wave()
    for name, other in {"last": values * np.where(np.arange(180) == 179, 1.01, 1), "order": values[::-1]}.items():
        copy = tmp_path / name
        copy.mkdir()
        data = write(copy / "series.csv", values)
        planted = partial(interrupt, "training.run", "evaluate")
        assert train(copy, "--data", data.name, *TINY, plant=planted).returncode == 130
        write(data, other)
        assert "another data" in one_line(train(copy, "--data", data.name, *TINY, "--resume"), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values[:160], "which had 180 values in 1 series: the file has 160 values in 1 series"),
        (lambda values: np.where(np.arange(180) == 5, 9.5, values), "a value, the order or the name"),
        (lambda values: values[::-1], "a value, the order or the name"),
        (lambda values: np.concatenate([[10.0], values]), "a value, the order or the name"),
    ],
    ids=["truncated", "one value", "reversed", "one more in front"],
)
def test_evaluate_refuses_other_data(
    trained: Path,
    tmp_path: Path,
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "other.csv", change(wave()))
    assert message in refused(["evaluate", str(trained / MODEL), "--data", str(data)], capsys)


def test_evaluate_says_when_an_artifact_has_no_digest_of_its_data(folder: Path) -> None:
    old = read_artifact(folder / MODEL)
    data = {key: value for key, value in old.metadata.data.items() if key != "sha256"}
    network = network_of(old.metadata)
    network.load_state_dict(read_weights(old))
    metadata = old.metadata.model_copy(update={"data": data})
    save_artifact(network, metadata, old.golden, folder / MODEL, old.intervals)
    said = one_line(train(folder, "evaluate", str(MODEL), "--data", "series.csv"), 0)
    assert "it cannot be checked that series.csv is what it was trained on" in said


def test_evaluate_measures_values_that_came_after_the_training_as_held_out(folder: Path) -> None:
    write(folder / "longer.csv", np.concatenate([wave(), wave(220)[180:]]))
    ran = train(folder, "evaluate", str(MODEL), "--data", "longer.csv")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "40 values in 1 series came after the training; they count as held out" in ran.stdout
    same = train(folder, "evaluate", str(MODEL), "--data", "series.csv")
    assert (same.returncode, same.stderr) == (0, "")
    assert "came after" not in same.stdout


def test_every_documented_training_writes_below_runs_except_that_of_make_train() -> None:
    """A clone stays clean: git ignores runs/."""
    assert "/runs/\n" in (ROOT / ".gitignore").read_text()
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    lines = [line for page in pages for line in page.read_text().splitlines() if "-m training --" in line]
    commands = [line.partition("-m training ")[2].partition("#")[0].partition("`")[0].split() for line in lines]
    plain = [options for options in commands if "--help" not in options and not any("[" in text for text in options)]
    assert len(plain) > 5
    for options in plain:
        assert parse(options).artifact.parts[0] == "runs", options
    recipes = (ROOT / "Makefile").read_text()
    assert "-m training --seed 1 --output model/artifacts/sine.pt --overwrite\n" in recipes
    assert recipes.count("sine.pt --overwrite") == 1
