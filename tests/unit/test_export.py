"""Tests of replacing an artifact, and of exporting one again for another version of torch."""

import dataclasses
import io
import logging
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from model import DEFAULT_ARTIFACT
from model.artifact import (
    ArtifactForeign,
    digest_path,
    load_module,
    network_of,
    read_artifact,
    read_weights,
    save_artifact,
)
from model.digest import replacing, write_digest
from model.metadata import CellKind
from model.runtime.check import GoldenMismatch
from model.runtime.select import open_runtime
from tests.artifacts import MakeArtifact, some_intervals
from tests.server import ROOT
from training.__main__ import main

AGAIN = "`python -m training export ARTIFACT` exports the same weights again"


def export(*arguments: Path | str) -> subprocess.CompletedProcess[str]:
    """Run `python -m training export` in a process of its own, like a person."""
    command = [sys.executable, "-m", "training", "export", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)


def of_torch(version: str, path: Path) -> Path:
    """Change the version of torch that an artifact says it was exported by."""
    old = read_artifact(path)
    network = network_of(old.metadata)
    network.load_state_dict(read_weights(old))
    metadata = old.metadata.model_copy(update={"torch_version": version})
    save_artifact(network, metadata, old.golden, path, old.intervals)
    return path


def unloadable(path: Path) -> Path:
    """Change the code in an artifact to one that no torch compiles, as another version's could be."""
    kept = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(kept, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, source.read(entry).replace(b"torch.abs(", b"torch.gone("))
    path.write_bytes(kept.getvalue())
    digest_path(path).write_bytes(subprocess.run(["sha256sum", path], capture_output=True, check=True).stdout)
    return path


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 3])
def test_weights_are_read_as_those_that_torch_loads(make_artifact: MakeArtifact, cell: CellKind, layers: int) -> None:
    artifact = read_artifact(make_artifact(cell=cell, layers=layers))
    read, loaded = read_weights(artifact), load_module(artifact, torch.device("cpu")).state_dict()
    assert read.keys() == loaded.keys()
    assert all(torch.equal(read[name], loaded[name]) for name in read)


def test_weights_that_do_not_fit_the_metadata_are_foreign(make_artifact: MakeArtifact) -> None:
    artifact = read_artifact(make_artifact(cell="gru"))
    for change in ({"cell": "lstm"}, {"hidden": 17}, {"layers": 2}):
        architecture = artifact.metadata.architecture.model_copy(update=change)
        other = dataclasses.replace(
            artifact, metadata=artifact.metadata.model_copy(update={"architecture": architecture})
        )
        with pytest.raises(ArtifactForeign, match="not the one of its metadata"):
            read_weights(other)


def test_the_shipped_artifact_exported_again_differs_in_nothing_but_the_build_of_torch(tmp_path: Path) -> None:
    again = tmp_path / DEFAULT_ARTIFACT.name
    ran = export(DEFAULT_ARTIFACT, "--output", again)
    assert (ran.returncode, ran.stderr) == (0, "")
    old, new = read_artifact(DEFAULT_ARTIFACT), read_artifact(again)
    assert new.metadata == old.metadata.model_copy(update={"torch_version": torch.__version__})
    if new.metadata == old.metadata:
        assert new.content == old.content


@pytest.mark.parametrize("spoil", [lambda path: None, unloadable], ids=["loads", "does not load"])
def test_an_artifact_of_another_torch_is_exported_in_its_place(
    make_artifact: MakeArtifact, spoil: Callable[[Path], object]
) -> None:
    path = of_torch("1.0.0", make_artifact(normalisation="standard", offset=3.0, scale=2.0, intervals=some_intervals()))
    old = read_artifact(path)
    spoil(path)
    ran = export(path)
    assert (ran.returncode, ran.stderr) == (0, "")
    new = read_artifact(path)
    assert new.digest[:12] in ran.stdout
    assert new.metadata == old.metadata.model_copy(update={"torch_version": torch.__version__})
    assert new.intervals is not None
    assert old.intervals is not None
    assert np.array_equal(new.intervals.radius_CNRVK, old.intervals.radius_CNRVK)
    for one, other in zip(new.golden.cases, old.golden.cases, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-9)
    open_runtime(new, "cpu")


def test_weights_that_miss_the_old_golden_rollouts_are_not_exported(
    make_artifact: MakeArtifact, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_artifact(spoil=lambda network: network.readout.weight.mul_(1.01))
    before = path.read_bytes()
    assert main(["export", str(path)]) == 2
    assert "golden rollout 0 of these weights is off by up to" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".new-*"))


def test_another_file_is_not_replaced_by_an_export_without_overwrite(
    make_artifact: MakeArtifact, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = make_artifact(), make_artifact(name="other.pt", hidden=4)
    before = other.read_bytes()
    assert main(["export", str(path), "--output", str(other)]) == 2
    assert "other.pt exists: --overwrite replaces it" in capsys.readouterr().err
    assert other.read_bytes() == before
    assert main(["export", str(path), "--output", str(other), "--overwrite"]) == 0
    assert read_artifact(other).metadata == read_artifact(path).metadata


def test_an_artifact_of_another_torch_that_loads_is_served_with_a_warning(
    make_artifact: MakeArtifact, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_artifact()
    with caplog.at_level(logging.WARNING):
        open_runtime(read_artifact(path), "cpu")
        open_runtime(read_artifact(of_torch(torch.__version__.partition("+")[0] + "+cu130", path)), "cpu")
    assert caplog.messages == [], "builds of one version do not differ"
    with caplog.at_level(logging.WARNING):
        open_runtime(read_artifact(of_torch("1.0.0", path)), "cpu")
    [warning] = caplog.messages
    assert "Torch 1.0.0 exported this artifact" in warning
    assert AGAIN in warning


def test_an_artifact_of_another_torch_that_fails_names_the_command(make_artifact: MakeArtifact) -> None:
    path = of_torch("1.0.0", make_artifact(spoil=lambda network: network.readout.weight.mul_(1.01)))
    with pytest.raises(GoldenMismatch, match=r"Torch 1\.0\.0 exported this artifact") as mismatch:
        open_runtime(read_artifact(path), "cpu")
    with pytest.raises(ArtifactForeign, match="cannot load this TorchScript") as foreign:
        open_runtime(read_artifact(unloadable(of_torch("1.0.0", make_artifact()))), "cpu")
    for error in (mismatch, foreign):
        assert AGAIN in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_crash_between_the_renames_leaves_an_artifact_that_is_served(
    make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    path, other = make_artifact(), make_artifact(name="other.pt", hidden=4)
    digests = [read_artifact(each).digest for each in (path, other)]
    replace, done = Path.replace, 0

    def replace_or_crash(source: Path, target: Path) -> Path:
        nonlocal done
        if done == renames:
            raise SystemError("the machine stops")
        done += 1
        return replace(source, target)

    def put() -> None:
        with replacing(path) as new:
            new.write_bytes(other.read_bytes())
            write_digest(new, digests[1])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_or_crash)
        with pytest.raises(SystemError):
            put()
    assert read_artifact(path).digest == digests[renames > 1]
    assert not list(path.parent.glob(".new-*"))
    put()
    assert read_artifact(path).digest == digests[1]
    assert digest_path(path).read_text().split() == [digests[1], path.name]


@pytest.mark.parametrize("reads", [0, 1, 2])
def test_a_pair_that_is_replaced_while_it_is_read_is_the_old_or_the_new_one(
    make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    path, other = make_artifact(), make_artifact(name="other.pt", hidden=4)
    digests, content = [read_artifact(each).digest for each in (path, other)], other.read_bytes()
    read, done = Path.read_bytes, 0

    def replaced_before(file: Path) -> bytes:
        nonlocal done
        done += 1
        if done == reads + 1:
            monkeypatch.undo()
            with replacing(path) as new:
                new.write_bytes(content)
                write_digest(new, digests[1])
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", replaced_before)
    assert read_artifact(path).digest == digests[reads < 2]
    assert read_artifact(path).digest == digests[1]


def test_two_programs_that_replace_one_artifact_leave_a_whole_pair(make_artifact: MakeArtifact) -> None:
    path = make_artifact()
    program = """
import sys
from pathlib import Path
from model.artifact import read_artifact
from model.digest import replacing, write_digest

source, path = map(Path, sys.argv[1:])
digest, content = read_artifact(source).digest, source.read_bytes()
for _ in range(60):
    with replacing(path) as new:
        new.write_bytes(content)
        write_digest(new, digest)
"""
    others = [make_artifact(name=f"{hidden}.pt", hidden=hidden) for hidden in (4, 5)]
    writers = [subprocess.Popen([sys.executable, "-c", program, other, path], cwd=ROOT) for other in others]
    assert [writer.wait(180) for writer in writers] == [0, 0]
    assert read_artifact(path).content in [other.read_bytes() for other in others]
    assert len(digest_path(path).read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["modèle.pt", "with spaces.pt"], ids=["accent", "spaces"])
def test_an_artifact_may_have_any_name(make_artifact: MakeArtifact, name: str) -> None:
    path = make_artifact(name=name)
    assert read_artifact(path).metadata.name == "small"
    subprocess.run(["sha256sum", "--check", digest_path(path).name], cwd=path.parent, check=True, capture_output=True)
