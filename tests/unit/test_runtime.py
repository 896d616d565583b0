"""Runtimes: what they answer, and that they do not serve before they have proved it."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from model.artifact import read_artifact
from model.golden import GoldenMismatch
from model.runtime import Device, DeviceUnavailable, Runtime, open_runtime
from tests.artifacts import MakeArtifact

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=needs_cuda)])
def device(request: pytest.FixtureRequest) -> Device:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=[1, 2], ids=lambda layers: f"{layers} layers")
def runtime(request: pytest.FixtureRequest, device: Device, make_artifact: MakeArtifact) -> Runtime:
    return open_runtime(read_artifact(make_artifact(layers=request.param)), device)


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


def test_a_state_is_not_changed_by_going_on_from_it(runtime: Runtime) -> None:
    states = runtime.encode([wave(50)])
    before = states[0].hidden_LH.copy()
    first_BS, _ = runtime.rollout(states, 7)
    again_BS, _ = runtime.rollout(states, 7)
    np.testing.assert_array_equal(states[0].hidden_LH, before)
    np.testing.assert_array_equal(first_BS, again_BS)


def test_a_rollout_keeps_the_scale_that_it_began_with(runtime: Runtime) -> None:
    large = rollout(runtime, wave(50, amplitude=1024), 50)
    np.testing.assert_array_equal(large, 1024 * np.array(rollout(runtime, wave(50), 50)))


def test_zeros_are_continued_by_zeros(runtime: Runtime) -> None:
    assert rollout(runtime, [0.0, -0.0, 0.0], 5) == [0.0] * 5


@pytest.mark.parametrize("magnitude", [1e-300, 1e-3, 1.0, 1e6])
def test_every_magnitude_has_a_finite_answer_of_its_own_size(runtime: Runtime, magnitude: float) -> None:
    values = rollout(runtime, [magnitude, -magnitude, 0.0, magnitude], 10)
    assert np.isfinite(values).all()
    assert 0 < max(map(abs, values)) <= 100 * magnitude


def test_asking_for_cuda_where_there_is_none_is_an_error(
    make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = read_artifact(make_artifact())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailable, match="cuda"):
        open_runtime(artifact, "cuda")
    assert open_runtime(artifact, "auto").device == "cpu"


def test_a_runtime_that_misses_its_golden_rollouts_does_not_open(make_artifact: MakeArtifact) -> None:
    path = make_artifact(spoil=lambda network: network.readout.weight.mul_(1.001))
    with pytest.raises(GoldenMismatch, match="golden rollout 0"):
        open_runtime(read_artifact(path), "cpu")


def test_a_runtime_that_is_not_finite_does_not_open(make_artifact: MakeArtifact) -> None:
    path = make_artifact(spoil=lambda network: network.readout.weight.fill_(torch.nan))
    with pytest.raises(GoldenMismatch, match="nan of the scale"):
        open_runtime(read_artifact(path), "cpu")
