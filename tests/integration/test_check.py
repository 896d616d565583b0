"""Tests of `python -m app check`: one screen about an artifact, and a status for CI."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.check import check
from model.artifact import read_artifact
from model.metadata import Fitting
from tests.artifacts import MakeArtifact
from tests.server import ROOT

ARTIFACTS = ROOT / "model" / "artifacts"


@pytest.mark.parametrize(("name", "purpose"), [("sine", "sine waves"), ("any", "series of any kind")])
def test_an_artifact_that_ships_is_described_in_one_screen(
    name: str, purpose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ARTIFACTS / f"{name}.pt"
    assert check([str(path)]) == 0
    printed = capsys.readouterr().out
    artifact = read_artifact(path)
    for fact in (
        f"model     {name} {artifact.metadata.version}",
        f"for       {purpose}",
        f"digest    sha256 {artifact.digest[:12]}",
        f"golden    {len(artifact.golden.cases)} rollouts of 32 values, reproduced by the fused runtime",
        f"example   {len(artifact.golden.example.sequence)} values",
        "times the expected error: it fits",
        f"intervals up to {artifact.metadata.intervals.horizon} steps" if artifact.metadata.intervals else "none",
    ):
        assert fact in printed
    assert len(printed.splitlines()) < 24
    assert max(map(len, printed.splitlines())) < 100


def test_the_command_ends_with_the_status(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    path = make_artifact()
    path.write_bytes(path.read_bytes() + b"x")
    command = [sys.executable, "-m", "app", "check", str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.startswith(f"FAILED    {path}: the file is not the one whose sha256 was recorded")


def test_an_artifact_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check([str(tmp_path / "none.pt")]) == 1
    assert capsys.readouterr().out.startswith(f"FAILED    {tmp_path / 'none.pt'}: ")


def test_golden_rollouts_that_are_missed_fail(make_artifact: MakeArtifact, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_artifact(spoil=lambda network: network.readout.bias.add_(0.5))
    assert check([str(path)]) == 1
    assert "does not reproduce golden rollout 0" in capsys.readouterr().out


@pytest.mark.parametrize(("largest", "status"), [(1e9, 0), (1e-9, 1)])
def test_a_model_that_does_not_fit_its_own_example_fails(
    make_artifact: MakeArtifact, capsys: pytest.CaptureFixture[str], largest: float, status: int
) -> None:
    fit = Fitting(contexts=[8], clean=[1e-3], noisiest=[0.02], largest_ratio=[largest])
    assert check([str(make_artifact(fit=fit))]) == status
    assert ("FAILED: it does not fit its own example" in capsys.readouterr().out) == bool(status)


def test_a_model_without_fit_and_intervals_says_so(
    make_artifact: MakeArtifact, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check([str(make_artifact())]) == 0
    printed = capsys.readouterr().out
    assert "fit       not calibrated: forecasts have no warnings" in printed
    assert "intervals none" in printed


def test_a_command_without_an_artifact_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        check([])
    assert ended.value.code == 2
    assert "ARTIFACT" in capsys.readouterr().err
