"""Tests of networks on a user's own series, from the file to the service: the commands train, measure and serve one."""

import json
import math
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from websockets.sync.client import connect

from model.artifact import load_module, read_artifact
from model.forecast import Model
from model.runtime.select import open_runtime
from sine_client import Client
from tests.artifacts import MakeArtifact
from tests.server import ROOT, serve
from training.__main__ import main
from training.evaluate import Evaluate, run

LEVEL = 50_000.0
SERIES_T = LEVEL + 400 * np.sin(math.tau * np.arange(300) / 12) + np.random.default_rng(0).normal(0, 20, 300)
SMALL = [
    "--cell",
    "rnn",
    "--hidden",
    "8",
    "--epochs",
    "20",
    "--batches",
    "10",
    "--noise",
    "0.05",
    "--context",
    "24",
    "24",
    "--context-evaluated",
    "24",
]
SMALL += ["--settle", "4", "--horizon", "12", "12", "--learning-rate", "0.01"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model on the series, and return the folder that holds both."""
    folder = tmp_path_factory.mktemp("own")
    rows = "".join(f"{time},{value:.3f}\n" for time, value in enumerate(SERIES_T))
    (folder / "own.csv").write_text(f"ds,y\n{rows}")
    files = ["--data", str(folder / "own.csv"), "--output", str(folder / "own.pt"), "--runs", str(folder)]
    command = [sys.executable, "-m", "training", *files, *SMALL]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "as fractions of the standard deviation of the training part" in ran.stdout
    assert "by the RMSE over the whole horizon: " in ran.stdout, "the rank is said"
    return folder


def test_the_model_has_learned_the_series_at_its_level(folder: Path) -> None:
    metadata = read_artifact(folder / "own.pt").metadata
    assert metadata.normalisation == "range"
    assert metadata.errors["rollout_12_rmse"] < 0.5 * metadata.errors["last_value/rollout_12_rmse"]
    assert {"kind": "series", "series": 1, "points": 300}.items() <= metadata.data.items()
    assert str(folder) not in metadata.model_dump_json(), "the metadata do not name the folder"


def test_the_service_answers_in_the_units_of_the_series(folder: Path, tmp_path: Path) -> None:
    sequence = SERIES_T[-40:].tolist()
    module = load_module(read_artifact(folder / "own.pt"), torch.device("cpu"))
    with torch.inference_mode():
        expected_S = module.generate(torch.tensor([sequence], dtype=torch.float64), 20)[0].numpy()
    with serve(tmp_path, model=folder / "own.pt", workers=1) as server, Client(server.url) as client:
        values = client.generate(sequence, 20).values
        first = client.predict(sequence).prediction
    assert np.abs(expected_S - LEVEL).max() < 600, "the forecast has the level of the series"
    np.testing.assert_allclose(values, expected_S, rtol=0, atol=0.02)
    assert first == pytest.approx(values[0], abs=0.02)


def test_a_finished_model_is_measured_by_one_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(folder / "own.pt"), "--runs", str(folder), "--data", str(folder / "own.csv")]) == 0
    printed, errors = capsys.readouterr()
    assert errors == ""
    assert "RMSE of a step by horizon, from 24 values" in printed
    assert "seasonal naive" in printed
    assert (folder / "series" / "evaluation.md").read_text() in printed
    for name in ("horizon.png", "rollout.png", "portrait.png", "loss.png"):
        assert (folder / "series" / name).read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit a model to the series with the default options, and return its path."""
    folder = tmp_path_factory.mktemp("members")
    (folder / "own.csv").write_text("y\n" + "".join(f"{value:.3f}\n" for value in SERIES_T))
    assert main(["--data", str(folder / "own.csv"), "--runs", str(folder)]) == 0
    return folder / "series" / "series.pt"


def test_a_model_with_members_is_served_like_any_other(members: Path, tmp_path: Path) -> None:
    artifact = read_artifact(members)
    sequence = SERIES_T[-100:].tolist()
    expected_S, _ = open_runtime(artifact, "cpu", "torchscript").runtime.forecast(sequence, 12, 12)
    with serve(tmp_path, model=members, workers=1) as server, Client(server.url) as client:
        answer = client.generate(sequence, 12, level=[80], diagnostics=True)
        np.testing.assert_allclose(answer.values, expected_S, rtol=0, atol=0.1)
        assert answer.season == 12, "a request without a season has that of the file"
        assert answer.intervals is not None
        assert answer.intervals["lo-80"][0] < answer.values[0] < answer.intervals["hi-80"][0]
        assert client.predict(sequence).prediction == answer.values[0]
        with client.stream(sequence, 12) as rollout:
            streamed = [value for part in rollout for value in part.values]
        assert streamed == answer.values
        first = client.generate(sequence, 5, return_state=True)
        rest = client.generate([], 7, state=first.state)
        np.testing.assert_allclose(first.values + rest.values, answer.values, rtol=1e-12)
        begun = client.predict(sequence[:80], return_state=True)
        went_on = client.generate(sequence[80:], 12, state=begun.state)
        assert len(went_on.values) == 12
        tensor = {"name": "sequence", "shape": [1, 100], "datatype": "FP64", "data": sequence}
        infer = {"inputs": [tensor], "parameters": {"steps": 12}}
        outputs = httpx.post(f"{server.url}/v2/models/series/infer", json=infer).json()["outputs"]
        assert outputs[0]["data"] == answer.values
        with connect(f"{server.url.replace('http', 'ws')}/live") as live:
            for message in (json.dumps({"sequence": sequence[:99]}), json.dumps(sequence[99])):
                live.send(message)
                last = json.loads(live.recv())
        assert last["prediction"] == pytest.approx(answer.values[0], rel=1e-9)
        short = client.generate(sequence[-5:], 3)
        assert len(short.values) == 3, "fewer values than the members begin with"


def test_files_of_series_are_forecast_with_members(members: Path) -> None:
    artifact = read_artifact(members)
    runtime = open_runtime(artifact, "cpu").runtime
    rows = [SERIES_T[-100:], SERIES_T[:150]]
    forecasts = Model(artifact, runtime).forecast(np.concatenate(rows), np.array([0, 100, 250]), 12, [80])
    for row, values_S in zip(rows, forecasts.values_BS, strict=True):
        np.testing.assert_array_equal(values_S, runtime.forecast(row.tolist(), 12, 12)[0])
    assert (forecasts.ends["lo-80"] < forecasts.values_BS).all()


def test_a_file_that_cannot_be_used_is_refused_before_the_training(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.csv").write_text("ds,y\n1,2\n2,three\n")
    assert main(["--data", str(folder / "bad.csv")]) == 2
    printed, errors = capsys.readouterr()
    assert printed == ""
    assert f"{folder / 'bad.csv'}, row 3: y is 'three'" in errors


def test_a_model_cannot_be_measured_without_its_training_series(folder: Path, make_artifact: MakeArtifact) -> None:
    with pytest.raises(ValueError, match="give the file with --data"):
        run(Evaluate(folder / "own.pt"))
    with pytest.raises(ValueError, match="leave out --data"):
        run(Evaluate(data=folder / "own.csv"))
    with pytest.raises(ValueError, match="does not say what it was trained on"):
        run(Evaluate(make_artifact()))
