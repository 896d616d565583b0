"""Tests of the CUDA runtime. Where there is no card, Triton's interpreter runs its kernel on the CPU."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # Triton reads it when it is imported
pytest.importorskip("triton", reason="Triton is not installed: `make test-cuda` installs it")

from model.artifact import load_module, read_artifact
from model.metadata import Architecture, CellKind
from model.runtime.check import GoldenMismatch, check_golden, tolerance
from model.runtime.cuda import CudaRuntime
from model.runtime.torchscript import ScriptedRuntime
from tests.artifacts import MakeArtifact, make_small_artifact
from tests.server import ROOT

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NETWORKS: tuple[tuple[CellKind, int, int], ...] = (
    ("rnn", 20, 1),
    ("rnn", 20, 2),
    ("gru", 20, 1),
    ("gru", 20, 2),
    ("lstm", 20, 1),
    ("lstm", 20, 2),
    ("gru", 3, 1),
    ("gru", 64, 1),
)
LENGTHS = (300, 1, 2, 3, 17, *range(4, 64))
"""Lengths of 65 sequences."""


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda network: "{} {}x{}".format(*network))
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cell, hidden, layers = request.param
    return make_small_artifact(tmp_path_factory.mktemp("cuda"), cell=cell, hidden=hidden, layers=layers)


def opened(path: Path) -> CudaRuntime:
    artifact = read_artifact(path)
    return CudaRuntime(load_module(artifact, DEVICE), artifact.metadata, DEVICE)


def scripted(path: Path) -> ScriptedRuntime:
    artifact, cpu = read_artifact(path), torch.device("cpu")
    return ScriptedRuntime(load_module(artifact, cpu), artifact.metadata, cpu)


def waves(lengths: Sequence[int]) -> list[list[float]]:
    """Return a sine of each length. Their periods, levels and amplitudes differ."""
    return [
        (row + (1 + row) * np.sin(np.arange(length) / (2 + row % 7))).tolist() for row, length in enumerate(lengths)
    ]


def test_it_reproduces_the_golden_rollouts_of_the_reference_cells(path: Path) -> None:
    check_golden(opened(path), read_artifact(path).golden)


def test_a_batch_of_mixed_lengths_is_answered_as_by_torchscript(path: Path) -> None:
    ours, theirs = opened(path), scripted(path)
    sequences = waves(LENGTHS)
    after, expected = ours.encode(sequences), theirs.encode(sequences)
    values_BS, _ = ours.rollout(after, 8)
    expected_BS, _ = theirs.rollout(expected, 8)
    for state, other, values_S, expected_S in zip(after, expected, values_BS, expected_BS, strict=True):
        np.testing.assert_allclose(state.memory_LM, other.memory_LM, atol=1e-5)
        np.testing.assert_allclose(state.error_R, other.error_R, atol=1e-5)
        assert (state.level, state.scale, state.observed) == (other.level, other.scale, other.observed)
        assert (state.residual, state.noise) == pytest.approx((other.residual, other.noise), abs=1e-5)
        assert np.all(np.abs(values_S - expected_S) <= tolerance(8) * max(state.scale, 1e-30) + 1e-12)


def test_a_sequence_and_a_rollout_in_parts_are_bit_for_bit_the_whole_ones(path: Path) -> None:
    runtime, sequences = opened(path), waves(range(3, 22))
    whole_BS, reached = runtime.rollout(runtime.encode(sequences), 20)
    states = [runtime.start(sequence) for sequence in sequences]
    for part in (slice(1), slice(1, 2), slice(2, None)):
        states = runtime.encode([sequence[part] for sequence in sequences], states)
    chunks: list[npt.NDArray[np.float64]] = []
    for steps in (1, 12, 7):
        chunk_BS, states = runtime.rollout(states, steps)
        chunks.append(chunk_BS)
    assert np.hstack(chunks).tolist() == whole_BS.tolist()
    for state, after in zip(states, reached, strict=True):
        assert state.memory_LM.tolist() == after.memory_LM.tolist()
        assert state.rolled_out


def test_a_row_is_answered_bit_for_bit_the_same_whatever_is_beside_it(path: Path) -> None:
    runtime, sequences = opened(path), waves(LENGTHS[1:20])
    others = [[100.0 * value for value in sequence[::-1]] for sequence in waves(LENGTHS[20:39])]
    together_BS, reached = runtime.rollout(runtime.encode(sequences), 20)
    for row in (0, 7, 18):
        mixed = [*others[:row], sequences[row], *others[row + 1 :]]
        values_BS, after = runtime.rollout(runtime.encode(mixed), 20)
        assert values_BS[row].tolist() == together_BS[row].tolist()
        assert after[row].memory_LM.tolist() == reached[row].memory_LM.tolist()
        alone_S, _ = runtime.forecast(sequences[row], 20)
        # The interpreter multiplies in NumPy, where the order of sums depends on a row's place in the batch.
        scale = reached[row].scale if DEVICE.type == "cpu" else 0.0
        np.testing.assert_allclose(alone_S, together_BS[row], rtol=0, atol=1e-5 * scale)


def test_states_of_a_batch_keep_their_own_errors_and_units(path: Path) -> None:
    runtime = opened(path)
    long, short = waves([40, 5])
    before = runtime.encode([long, short])
    together = runtime.encode([short[:3], long], before)
    for state, earlier, more in zip(together, before, (short[:3], long), strict=True):
        (alone,) = runtime.encode([more], [earlier])
        np.testing.assert_allclose(state.error_R, alone.error_R, atol=1e-6)
        assert (state.level, state.scale) == (earlier.level, earlier.scale)
        assert state.observed == earlier.observed + len(more)
    kept = before[0].error_R[3:].tolist()
    assert together[0].error_R[: len(kept)].tolist() == kept


def test_a_rollout_that_diverges_leaves_the_other_rows_alone(make_artifact: MakeArtifact) -> None:
    runtime = opened(make_artifact(cell="rnn", hidden=16))
    states = runtime.encode(waves([30, 30]))
    lost = states[0]._replace(memory_LM=np.full_like(states[0].memory_LM, np.nan))
    values_BS, _ = runtime.rollout([lost, states[1]], 5)
    expected_BS, _ = runtime.rollout([states[1]], 5)
    assert np.isnan(values_BS[0]).all()
    np.testing.assert_allclose(values_BS[1], expected_BS[0], atol=1e-6)


def test_a_kernel_that_misses_the_golden_rollouts_is_found(make_artifact: MakeArtifact) -> None:
    path = make_artifact(cell="gru", hidden=20, spoil=lambda network: network.readout.weight.mul_(1.001))
    with pytest.raises(GoldenMismatch, match="golden rollout 0"):
        check_golden(opened(path), read_artifact(path).golden)


@pytest.mark.parametrize(("cell", "layers"), [("rnn", 1), ("gru", 1), ("gru", 2), ("lstm", 1)])
def test_the_kernel_compiles_for_a_card_without_one(cell: CellKind, layers: int) -> None:
    architecture = Architecture(cell=cell, hidden=32, layers=layers)
    script = f"""
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from model.runtime.cuda import Shape
from model.runtime.cuda_kernel import run
from model.metadata import Architecture

shape = Shape.of(Architecture(**{architecture.model_dump()!r}))
constants = shape.constants()
whole = {{"rows": "i32", "longest": "i32", "steps": "i32", "length_B": "*i32", "readout_bias": "fp32"}}
signature = {{name: "constexpr" if name in constants else whole.get(name, "*fp32") for name in run.arg_names}}
compiled = compile(ASTSource(run, signature, constants), GPUTarget("cuda", 90, 32), {{"num_warps": shape.warps}})
print(len(compiled.asm["cubin"]), "wgmma" in compiled.asm["ptx"], "tf32" in compiled.asm["ptx"])
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "TRITON_INTERPRET": "0"}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    size, *tensor_cores = ran.stdout.split()
    assert int(size) > 1000
    assert tensor_cores == ["False", "False"], "all arithmetic is in single precision"
