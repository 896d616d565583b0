"""Tests of the runtimes: their answers, and the check that each must pass before it serves."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from model.artifact import read_artifact
from model.metadata import CellKind
from model.runtime.base import Runtime
from model.runtime.check import GoldenMismatch, tolerance
from model.runtime.gates import sigmoid, tanh
from model.runtime.select import Device, DeviceUnavailable, Engine, open_runtime
from tests.artifacts import MakeArtifact, make_small_artifact

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


@pytest.fixture(
    scope="module",
    params=[
        *[("cpu", "fused"), ("cpu", "torchscript")],
        *[pytest.param(("cuda", engine), marks=needs_cuda) for engine in ("fused", "torchscript")],
    ],
)
def choice(request: pytest.FixtureRequest) -> tuple[Device, Engine]:
    return request.param  # type: ignore[no-any-return]


CELLS: tuple[CellKind, ...] = ("rnn", "gru", "lstm")


@pytest.fixture(
    scope="module",
    params=[("rnn", 16, 1), ("rnn", 32, 2), ("gru", 20, 1), ("lstm", 20, 1), ("lstm", 32, 2)],
    ids=lambda param: "{} {}x{}".format(*param),
)
def runtime(
    request: pytest.FixtureRequest, choice: tuple[Device, Engine], tmp_path_factory: pytest.TempPathFactory
) -> Runtime:
    """Open one runtime of each kind for all tests. A runtime does not change when it is used."""
    cell, hidden, layers = request.param
    path = make_small_artifact(tmp_path_factory.mktemp("runtime"), cell=cell, hidden=hidden, layers=layers)
    return open_runtime(read_artifact(path), *choice).runtime


def rollout(runtime: Runtime, sequence: Sequence[float], steps: int) -> list[float]:
    values_BS, _ = runtime.rollout(runtime.encode([sequence]), steps)
    assert values_BS.shape == (1, steps)
    values: list[float] = values_BS[0].tolist()
    return values


def wave(length: int, period: float = 20, amplitude: float = 1) -> list[float]:
    values: list[float] = (amplitude * np.sin(2 * np.pi * np.arange(length) / period + 0.3)).tolist()
    return values


def test_a_batch_of_mixed_lengths_is_answered_as_each_alone(runtime: Runtime) -> None:
    sequences = [wave(length, amplitude=10.0**length) for length in (1, 5, 3, 4)]
    together_BS, _ = runtime.rollout(runtime.encode(sequences), 20)
    for row, sequence in zip(together_BS, sequences, strict=True):
        np.testing.assert_allclose(row, rollout(runtime, sequence, 20), atol=1e-6 * max(map(abs, sequence)))


def test_a_rollout_goes_on_from_its_state(runtime: Runtime) -> None:
    states = runtime.encode([wave(50)])
    first_BS, states = runtime.rollout(states, 7)
    second_BS, _ = runtime.rollout(states, 13)
    np.testing.assert_allclose([*first_BS[0], *second_BS[0]], rollout(runtime, wave(50), 20), atol=1e-6)


def test_a_forecast_is_what_encoding_and_a_rollout_give(runtime: Runtime) -> None:
    values_S, after = runtime.forecast(wave(50), 20)
    assert values_S.tolist() == rollout(runtime, wave(50), 20)
    _, (reached,) = runtime.rollout(runtime.encode([wave(50)]), 20)
    np.testing.assert_array_equal(after.memory_LM, reached.memory_LM)
    assert (after.level, after.scale, after.residual, after.observed) == (
        reached.level,
        reached.scale,
        reached.residual,
        50,
    )


def test_a_sequence_can_be_encoded_in_parts(runtime: Runtime) -> None:
    sequence = wave(50, amplitude=7)
    states = [runtime.start(sequence)]
    for part in (sequence[:1], sequence[1:20], sequence[20:]):
        states = runtime.encode([part], states)
    (whole,) = runtime.encode([sequence])
    assert (states[0].level, states[0].scale) == (whole.level, whole.scale)
    assert states[0].observed == whole.observed == 50
    assert states[0].residual == pytest.approx(whole.residual, rel=1e-4)
    np.testing.assert_allclose(states[0].memory_LM, whole.memory_LM, atol=1e-6)


def test_a_state_is_not_changed_by_going_on_from_it(runtime: Runtime) -> None:
    states = runtime.encode([wave(50)])
    before = states[0].memory_LM.copy()
    first_BS, _ = runtime.rollout(states, 7)
    again_BS, _ = runtime.rollout(states, 7)
    np.testing.assert_array_equal(states[0].memory_LM, before)
    np.testing.assert_array_equal(first_BS, again_BS)


def test_a_rollout_keeps_the_scale_that_it_began_with(runtime: Runtime) -> None:
    large = rollout(runtime, wave(50, amplitude=1024), 50)
    np.testing.assert_array_equal(large, 1024 * np.array(rollout(runtime, wave(50), 50)))


@pytest.mark.parametrize("layers", [1, 2])
def test_an_offset_and_a_scale_that_are_fixed_are_taken_off_and_put_back(
    choice: tuple[Device, Engine], layers: int, make_artifact: MakeArtifact
) -> None:
    plain, shifted = (
        open_runtime(
            read_artifact(make_artifact(layers=layers, normalisation="standard", offset=offset, scale=scale)), *choice
        ).runtime
        for offset, scale in ((0.0, 1.0), (5000.0, 8.0))
    )
    sequence = (5000 + 8 * np.array(wave(50))).tolist()
    expected_S = 5000 + 8 * np.array(rollout(plain, wave(50), 30))
    np.testing.assert_allclose(rollout(shifted, sequence, 30), expected_S, rtol=0, atol=8e-5)
    np.testing.assert_allclose(shifted.forecast(sequence, 30)[0], expected_S, rtol=0, atol=8e-5)
    states = [shifted.start(sequence)]
    for part in (sequence[:20], sequence[20:]):
        states = shifted.encode([part], states)
    first_BS, states = shifted.rollout(states, 10)
    second_BS, _ = shifted.rollout(states, 20)
    np.testing.assert_allclose([*first_BS[0], *second_BS[0]], expected_S, rtol=0, atol=8e-5)
    short, _ = shifted.rollout(shifted.encode([sequence[:3], sequence]), 30)
    np.testing.assert_allclose(short[1], expected_S, rtol=0, atol=8e-5, err_msg="padding is not seen")


@pytest.mark.parametrize("sequence", [[0.0, -0.0, 0.0], [-3.7], [1e15] * 20, [5e-324] * 3])
def test_a_constant_sequence_is_continued_by_itself(runtime: Runtime, sequence: list[float]) -> None:
    assert rollout(runtime, sequence, 5) == [sequence[0]] * 5


@pytest.mark.parametrize("magnitude", [1e-299, 1e-3, 1.0, 1e6, 1e15])
def test_every_magnitude_has_a_finite_answer_of_its_own_size(runtime: Runtime, magnitude: float) -> None:
    values = rollout(runtime, [magnitude, -magnitude, 0.0, magnitude], 10)
    assert np.isfinite(values).all()
    assert 0 < max(map(abs, values)) <= 100 * magnitude


@pytest.mark.parametrize("magnitude", [5e-324, 2e-311, 1e-300])  # 1 / 2e-311 is not finite
def test_values_near_zero_have_a_finite_answer(runtime: Runtime, magnitude: float) -> None:
    values = rollout(runtime, [magnitude, -magnitude, 0.0, magnitude], 10)
    assert np.isfinite(values).all()
    assert max(map(abs, values)) <= 100 * magnitude


def test_asking_for_cuda_where_there_is_none_is_an_error(
    make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = read_artifact(make_artifact())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailable, match="cuda"):
        open_runtime(artifact, "cuda")
    assert open_runtime(artifact, "auto").runtime.device == "cpu"


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("engine", ["fused", "torchscript"])
def test_a_runtime_that_misses_its_golden_rollouts_does_not_open(
    make_artifact: MakeArtifact, cell: CellKind, engine: Engine
) -> None:
    path = make_artifact(cell=cell, hidden=20, spoil=lambda network: network.readout.weight.mul_(1.001))
    with pytest.raises(GoldenMismatch, match="golden rollout 0"):
        open_runtime(read_artifact(path), "cpu", engine)


def test_a_runtime_that_is_not_finite_does_not_open(make_artifact: MakeArtifact) -> None:
    path = make_artifact(spoil=lambda network: network.readout.weight.fill_(torch.nan))
    with pytest.raises(GoldenMismatch, match="nan of the scale"):
        open_runtime(read_artifact(path), "cpu")


@pytest.mark.parametrize(
    ("cell", "hidden", "layers"),
    [
        *[("rnn", 1, 1), ("rnn", 16, 1), ("rnn", 20, 1), ("rnn", 32, 2), ("rnn", 64, 1), ("rnn", 128, 1)],
        *[("rnn", 7, 3), ("gru", 20, 1), ("gru", 32, 2), ("gru", 64, 1), ("lstm", 20, 1), ("lstm", 32, 2)],
        ("lstm", 64, 1),
    ],
)
def test_the_fused_runtime_equals_torchscript(
    cell: CellKind, hidden: int, layers: int, make_artifact: MakeArtifact
) -> None:
    artifact = read_artifact(make_artifact(cell=cell, hidden=hidden, layers=layers))
    fused = open_runtime(artifact, "cpu", "fused").runtime
    scripted = open_runtime(artifact, "cpu", "torchscript").runtime
    for length in (1, 2, 64, 500):
        ours, theirs = rollout(fused, wave(length), 200), rollout(scripted, wave(length), 200)
        assert abs(ours[0] - theirs[0]) <= 1e-5
        assert np.all(np.abs(np.subtract(ours, theirs)) <= tolerance(200))


@pytest.mark.parametrize("cell", CELLS)
def test_the_fused_runtime_answers_bit_for_bit_the_same_alone_in_a_batch_and_in_chunks(
    cell: CellKind, make_artifact: MakeArtifact
) -> None:
    fused = open_runtime(read_artifact(make_artifact(cell=cell, hidden=20)), "cpu", "fused").runtime
    sequences = [wave(length, amplitude=length) for length in range(1, 66)]
    together_BS, _ = fused.rollout(fused.encode(sequences), 50)
    for values_S, sequence in zip(together_BS, sequences, strict=True):
        assert values_S.tolist() == rollout(fused, sequence, 50)
        assert values_S.tolist() == fused.forecast(sequence, 50)[0].tolist()
        states = fused.encode([sequence])
        chunks: list[float] = []
        for steps in (1, 7, 30, 12):
            chunk_BS, states = fused.rollout(states, steps)
            chunks += chunk_BS[0].tolist()
        assert chunks == values_S.tolist()


def test_tanh_and_sigmoid_of_the_fused_kernel_are_right_in_single_precision() -> None:
    for x in np.concatenate([np.linspace(-20, 20, 4001), np.logspace(-30, 0, 300)]).astype(np.float32):
        ours = float(tanh.py_func(x))  # type: ignore[no-untyped-call]
        assert abs(ours - np.tanh(np.float64(x))) <= 4e-7 * min(1.0, abs(float(x)))
        sigma = float(sigmoid.py_func(x))  # type: ignore[no-untyped-call]
        assert abs(sigma - 1 / (1 + np.exp(-np.float64(x)))) <= 3e-7


def test_a_kernel_that_does_not_compile_is_reported_and_replaced(
    make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(architecture: object, errors: bool) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr("model.runtime.fused.compile_kernel", broken)
    artifact = read_artifact(make_artifact())
    opened = open_runtime(artifact, "cpu")
    assert opened.runtime.name == "torchscript"
    assert "RuntimeError: no compiler" in opened.reason
    assert "RuntimeError: no compiler" in caplog.text
    with pytest.raises(DeviceUnavailable, match="no compiler"):
        open_runtime(artifact, "cpu", "fused")


def test_the_kernel_is_compiled_once_and_comes_from_the_cache_then(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    path = make_artifact(hidden=3)
    program = (
        "import sys; from pathlib import Path; from model.artifact import read_artifact;"
        "from model.runtime.select import open_runtime;"
        "print(open_runtime(read_artifact(Path(sys.argv[1])), 'cpu').reason)"
    )

    def reason(cache: Path) -> str:
        ran = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout

    assert "was compiled" in reason(tmp_path / "cache")
    assert "from the cache" in reason(tmp_path / "cache")


def test_a_kernel_that_cannot_be_cached_is_compiled_all_the_same(
    make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = read_artifact(make_artifact(hidden=3))
    njit = numba.njit

    def without_cache(*arguments: object, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function 'run': no locator available for file 'kernel.py'")
        return njit(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr("model.runtime.kernel.numba.njit", without_cache)
    assert "was compiled" in open_runtime(artifact, "cpu", "fused").reason
