"""Tests of the runtimes of anchored networks: both agree, and the compiled one is exact however a call is cut."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model.anchored import AnchoredNetwork
from model.anchors.state import unpack
from model.artifact import read_artifact, save_artifact
from model.golden import make_golden
from model.metadata import Architecture, CellKind, Metadata
from model.runtime.anchored import AnchoredRuntime
from model.runtime.base import State
from model.runtime.check import GoldenMismatch
from model.runtime.select import open_runtime
from model.runtime.torchscript import ScriptedAnchoredRuntime
from training.data import Floats

SEASONS, LENGTHS, STEPS = (1, 2, 7, 12, 24), (1, 2, 7, 60, 150), 24

Runtimes = tuple[AnchoredRuntime, ScriptedAnchoredRuntime]


def network(cell: CellKind = "gru", hidden: int = 8, layers: int = 1) -> AnchoredNetwork:
    """Return a network with random weights, also in the readout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AnchoredNetwork(Architecture(inputs="anchors", cell=cell, hidden=hidden, layers=layers)).eval()
        for weight in made.readout.parameters():
            nn.init.normal_(weight, 0, 0.2)
    return made


def metadata(made: AnchoredNetwork) -> Metadata:
    return Metadata(
        name="any",
        version="1",
        architecture=Architecture(inputs="anchors", cell=made.cell, hidden=made.hidden, layers=made.layers),
        normalisation="range",
        data={},
        training={},
        errors={},
        torch_version=torch.__version__,
    )


def runtimes_of(made: AnchoredNetwork) -> Runtimes:
    module = torch.jit.script(made)
    return AnchoredRuntime(module, metadata(made)), ScriptedAnchoredRuntime(module, metadata(made), torch.device("cpu"))


@pytest.fixture(scope="module")
def both() -> Runtimes:
    return runtimes_of(network())


def sequence(length: int) -> Floats:
    """Return a noisy wave with a trend around 20."""
    t = np.arange(length)
    wave_T: Floats = 20 + 5 * np.sin(0.3 * t) + 0.05 * t + np.random.default_rng(length).normal(size=length)
    return wave_T


def assert_equal(one: State, other: State) -> None:
    assert one.season == other.season
    assert (one.level, one.scale, one.observed, one.rolled_out) == (
        other.level,
        other.scale,
        other.observed,
        other.rolled_out,
    )
    assert (one.residual, one.noise) == (other.residual, other.noise)
    np.testing.assert_array_equal(one.memory_LM, other.memory_LM)
    np.testing.assert_array_equal(one.anchors_K, other.anchors_K)
    np.testing.assert_array_equal(one.error_R, other.error_R)


@pytest.mark.parametrize("season", SEASONS)
@pytest.mark.parametrize("length", LENGTHS)
def test_both_runtimes_forecast_the_same(both: Runtimes, season: int, length: int) -> None:
    x_T = sequence(length).tolist()
    (values_S, state), (other_S, other) = (runtime.forecast(x_T, STEPS, season) for runtime in both)
    np.testing.assert_allclose(values_S, other_S, rtol=0, atol=2e-6 * max(state.scale, 1e-3))
    np.testing.assert_allclose(state.anchors_K, other.anchors_K, rtol=0, atol=2e-6)
    assert state.residual == pytest.approx(other.residual, abs=1e-6)


@pytest.mark.parametrize(("cell", "layers"), [("rnn", 1), ("lstm", 1), ("gru", 2), ("lstm", 2)])
def test_both_runtimes_forecast_the_same_with_any_cell_and_several_layers(cell: CellKind, layers: int) -> None:
    fused, scripted = runtimes_of(network(cell, 20, layers))
    x_T = sequence(80).tolist()
    (values_S, state), (other_S, _) = (runtime.forecast(x_T, STEPS, 12) for runtime in (fused, scripted))
    np.testing.assert_allclose(values_S, other_S, rtol=0, atol=2e-6 * state.scale)


@pytest.mark.parametrize("season", SEASONS)
@pytest.mark.parametrize("length", LENGTHS)
def test_parts_of_a_sequence_and_of_a_rollout_give_the_bits_of_the_whole(
    both: Runtimes, season: int, length: int
) -> None:
    fused, _ = both
    x_T = sequence(length).tolist()
    whole_S, whole = fused.forecast(x_T, STEPS, season)
    state = fused.start(x_T, season)
    for first in range(0, length, 40):
        (state,) = fused.encode([x_T[first : first + 40]], [state])
    parts = []
    for steps in (1, 7, STEPS - 8):
        (values_S,), (state,) = fused.rollout([state], steps)
        parts.append(values_S)
    np.testing.assert_array_equal(np.concatenate(parts), whole_S)
    assert_equal(state, whole)


def test_a_state_knows_the_least_later_error_of_the_anchors(both: Runtimes) -> None:
    for runtime in both:
        _, state = runtime.forecast(sequence(60).tolist(), STEPS, 12)
        parts = unpack(torch.from_numpy(state.anchors_K)[None], 12)
        assert state.later == parts.error_B2A[0, 1].min().item() > 0
    assert State(np.zeros((1, 4), np.float32), 0.0, 1.0).later == 0, "without anchors"


def test_sequences_of_several_seasons_in_one_call_are_answered_as_alone(both: Runtimes) -> None:
    sequences = [sequence(length).tolist() for length in (30, 80, 30, 50)]
    for runtime in both:
        starts = [runtime.start(x_T, season) for x_T, season in zip(sequences, (12, 1, 12, 7), strict=True)]
        values_BS, _ = runtime.rollout(runtime.encode(sequences, starts), STEPS)
        for x_T, start, values_S in zip(sequences, starts, values_BS, strict=True):
            np.testing.assert_allclose(values_S, runtime.forecast(x_T, STEPS, start.season)[0], rtol=0, atol=1e-4)


def test_a_constant_sequence_continues_itself(both: Runtimes) -> None:
    for runtime in both:
        np.testing.assert_array_equal(runtime.forecast([5.5] * 30, STEPS, 7)[0], np.full(STEPS, 5.5))


def test_both_runtimes_pass_the_golden_check_with_a_season_and_a_wrong_rollout_does_not(tmp_path: Path) -> None:
    made, sequences = network(), [sequence(length).tolist() for length in (40, 64, 100)]
    golden = make_golden(made, sequences, 16, seasons=[1, 12, 24])
    wrong = make_golden(made, sequences, 16, seasons=[1, 12, 7])
    wrong = wrong.model_copy(
        update={
            "cases": [
                right.model_copy(update={"values": other.values})
                for right, other in zip(golden.cases, wrong.cases, strict=True)
            ]
        }
    )
    save_artifact(made, metadata(made), golden, tmp_path / "any.pt")
    save_artifact(made, metadata(made), wrong, tmp_path / "wrong.pt")
    for engine in ("fused", "torchscript"):
        assert open_runtime(read_artifact(tmp_path / "any.pt"), "cpu", engine).runtime.name == engine
        with pytest.raises(GoldenMismatch, match="golden rollout 2"):
            open_runtime(read_artifact(tmp_path / "wrong.pt"), "cpu", engine)
