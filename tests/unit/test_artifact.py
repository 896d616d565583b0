"""Tests that reading an artifact gives what was saved, or an error that explains the damage."""

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from model.artifact import (
    ArtifactDamaged,
    ArtifactForeign,
    ArtifactMissing,
    ArtifactTampered,
    ArtifactTruncated,
    digest_path,
    load_module,
    read_artifact,
    save_artifact,
)
from model.metadata import Architecture, CellKind
from model.network import Network
from model.runtime.select import Engine, open_runtime
from tests.artifacts import MakeArtifact


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_an_artifact_comes_back_as_it_was_saved(make_artifact: MakeArtifact, cell: CellKind) -> None:
    artifact = read_artifact(make_artifact(cell=cell, hidden=8, layers=2))
    assert artifact.metadata.architecture == Architecture(cell=cell, hidden=8, layers=2)
    assert artifact.metadata.errors == {"next_value_rmse": 1.0}
    assert [len(case.values) for case in artifact.golden.cases] == [16, 16, 16]
    module = load_module(artifact, torch.device("cpu"))
    x_BT = torch.randn(2, 10, dtype=torch.float64)
    torch.manual_seed(0)
    assert module.generate(x_BT, 5).shape == (2, 5)


def test_the_digest_file_is_one_that_sha256sum_checks(make_artifact: MakeArtifact) -> None:
    path = make_artifact()
    subprocess.run(["sha256sum", "--check", digest_path(path).name], cwd=path.parent, check=True)


def test_the_same_weights_give_the_same_bytes(make_artifact: MakeArtifact) -> None:
    assert make_artifact(name="a.pt").read_bytes() == make_artifact(name="b.pt").read_bytes()


def test_an_artifact_holds_no_path_of_the_machine_that_made_it(make_artifact: MakeArtifact) -> None:
    with zipfile.ZipFile(make_artifact()) as archive:
        names = archive.namelist()
        assert any(name.startswith("archive/code/__torch__/model/") for name in names)
        for name in names:
            assert str(Path(__file__).parents[2]).encode() not in archive.read(name), name


def test_a_missing_artifact_or_digest_is_said_to_be_missing(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=r"nothing\.pt"):
        read_artifact(tmp_path / "nothing.pt")
    path = make_artifact()
    digest_path(path).unlink()
    with pytest.raises(ArtifactMissing, match=r"small\.pt\.sha256"):
        read_artifact(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_artifact_is_said_to_be_truncated(make_artifact: MakeArtifact, keep: float) -> None:
    path = make_artifact()
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ArtifactTruncated, match="truncated"):
        read_artifact(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["weights", "code"])
def test_a_flipped_bit_is_said_to_be_damage(make_artifact: MakeArtifact, method: int) -> None:
    path = make_artifact(hidden=32)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        stored = [entry for entry in archive.infolist() if entry.compress_type == method]
        largest = max(stored, key=lambda entry: entry.compress_size)
    content[largest.header_offset + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactDamaged, match="damaged"):
        read_artifact(path)


@pytest.mark.parametrize("content", [b"", b"weights", b"\x80\x02" * 500], ids=["empty", "text", "pickle"])
def test_other_content_is_said_to_be_foreign(make_artifact: MakeArtifact, content: bytes) -> None:
    path = make_artifact()
    path.write_bytes(content)
    with pytest.raises(ArtifactForeign, match="not a TorchScript file"):
        read_artifact(path)


def test_torchscript_of_somebody_else_is_foreign_even_with_its_right_digest(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)
    with digest_path(path).open("wb") as digest:
        subprocess.run(["sha256sum", path.name], cwd=tmp_path, stdout=digest, check=True)
    with pytest.raises(ArtifactForeign, match="not an artifact of this project"):
        read_artifact(path)


@pytest.mark.parametrize("other", [{"cell": "lstm"}, {"hidden": 4}, {"layers": 2}])
def test_a_network_that_is_not_the_one_of_its_metadata_is_foreign(
    make_artifact: MakeArtifact, other: dict[str, object]
) -> None:
    path = make_artifact(cell="gru")
    sound = read_artifact(path)
    architecture = Architecture.model_validate(sound.metadata.architecture.model_dump() | other)
    save_artifact(Network(architecture), sound.metadata, sound.golden, path)
    with pytest.raises(ArtifactForeign, match="not the one of its metadata"):
        load_module(read_artifact(path), torch.device("cpu"))


def test_another_sound_artifact_under_the_old_digest_is_said_to_be_tampering(make_artifact: MakeArtifact) -> None:
    path = make_artifact()
    shutil.copy(make_artifact(hidden=4, name="evil.pt"), path)
    with pytest.raises(ArtifactTampered, match="not the one whose sha256 was recorded"):
        read_artifact(path)


@pytest.mark.parametrize("engine", ["fused", "torchscript"])
@pytest.mark.parametrize("name", ["max_abs", "standard"])
def test_an_artifact_of_version_0_2_answers_as_it_did(name: str, engine: Engine) -> None:
    """Its golden rollouts are those of the code that wrote it."""
    artifact = read_artifact(Path(__file__).parent / "old_artifacts" / f"{name}.pt")
    runtime = open_runtime(artifact, "cpu", engine).runtime
    assert artifact.metadata.normalisation == name
    for case in artifact.golden.cases:
        values_S, state = runtime.forecast(case.sequence, len(case.values))
        level, scale = (5000.0, 8.0) if name == "standard" else (0.0, max(map(abs, case.sequence)))
        assert (state.level, state.scale) == (level, scale)
        np.testing.assert_allclose(values_S, case.values, rtol=0, atol=1e-5 * 16 * scale)
