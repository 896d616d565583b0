"""Tests of members beside an anchored network: all runtimes compute the equations, however a call is cut."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.state_tokens import read_token, write_token
from model.artifact import read_artifact, read_weights, save_artifact
from model.ensemble import EnsembleNetwork
from model.golden import make_golden
from model.members.reference import MemberWeights, ReferenceMembers
from model.metadata import Architecture, MemberSizes, Metadata
from model.runtime.base import Runtime, State
from model.runtime.ensemble import EnsembleRuntime
from model.runtime.select import open_runtime
from model.runtime.torchscript import ScriptedAnchoredRuntime
from training.data import Floats

SIZES = {
    "two seasons": MemberSizes(values=30, cells=3, errors=2, inner=4, season=12),
    "logarithms": MemberSizes(values=20, cells=2, season=7, logarithm=True),
    "no cells": MemberSizes(values=6, cells=0),
    "no season": MemberSizes(values=14, cells=2, errors=3, logarithm=True),
}
CONTEXTS, STEPS = (1, 5, 19, 20, 21, 31, 90), 12


def fitted(sizes: MemberSizes) -> MemberWeights:
    """Return weights that make a stable forecast."""
    random = np.random.default_rng(0)
    filter_M = random.normal(size=sizes.values) * 0.05
    filter_M[-1] += 0.9 - filter_M.sum()
    share = 0.5 if sizes.cells else 1.0
    rates = [[0.3, 0.05 * (number % 2), 0.95, 0.1, 0.2] for number in range(sizes.cells)]
    return MemberWeights(
        sizes=sizes,
        filter_M=filter_M,
        mean_weight=0.1,
        filter_share=share,
        rate_E5=np.array(rates).reshape(-1, 5),
        theta_EP=random.normal(size=(sizes.cells, sizes.errors)) * 0.1,
        share_E=np.full(sizes.cells, (1 - share) / max(1, sizes.cells)),
        weight=0.5,
    )


def network(sizes: MemberSizes) -> EnsembleNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = EnsembleNetwork(Architecture(inputs="anchors", cell="gru", hidden=8, members=sizes)).eval()
    made.members.set_weights(fitted(sizes))
    return made


def described(sizes: MemberSizes) -> Metadata:
    architecture = Architecture(inputs="anchors", cell="gru", hidden=8, members=sizes)
    return Metadata(
        name="own",
        version="1",
        architecture=architecture,
        normalisation="range",
        season=12,
        data={},
        training={},
        errors={},
        torch_version=torch.__version__,
    )


def sales(length: int) -> Floats:
    """Return positive values with a season of 12 and a trend."""
    t = np.arange(length)
    noise_T = np.random.default_rng(length).normal(size=length)
    wave_T: Floats = 40 + 5 * np.sin(2 * np.pi * t / 12) + 0.05 * t + noise_T
    return wave_T


@pytest.fixture(scope="module")
def runtimes() -> dict[str, tuple[EnsembleRuntime, ScriptedAnchoredRuntime]]:
    made = {}
    for name, sizes in SIZES.items():
        module, about = torch.jit.script(network(sizes)), described(sizes)
        scripted = ScriptedAnchoredRuntime(module, about, torch.device("cpu"))
        made[name] = (EnsembleRuntime(module, about), scripted)
    return made


def encoded(runtime: Runtime, sequences: list[list[float]]) -> list[State]:
    return runtime.encode(sequences, [runtime.start(sequence, 12) for sequence in sequences])


@pytest.mark.parametrize("name", SIZES)
def test_an_artifact_holds_members_and_both_runtimes_reproduce_the_reference(name: str, tmp_path: Path) -> None:
    made, about = network(SIZES[name]), described(SIZES[name])
    sequences = [sales(length).tolist() for length in CONTEXTS]
    golden = make_golden(made, sequences, STEPS, [12] * len(sequences))
    save_artifact(made, about, golden, tmp_path / "own.pt")
    artifact = read_artifact(tmp_path / "own.pt")
    assert artifact.metadata == about
    for key, weight in read_weights(artifact).items():
        assert torch.equal(weight, made.state_dict()[key]), key
    for engine in ("fused", "torchscript"):
        open_runtime(artifact, "cpu", "fused" if engine == "fused" else "torchscript")


@pytest.mark.parametrize("name", SIZES)
def test_both_runtimes_leave_the_same_members_and_the_same_fit(
    name: str, runtimes: dict[str, tuple[EnsembleRuntime, ScriptedAnchoredRuntime]]
) -> None:
    sequences = [sales(length).tolist() for length in CONTEXTS]
    for fused, scripted in zip(*(encoded(runtime, sequences) for runtime in runtimes[name]), strict=True):
        members = SIZES[name].state
        np.testing.assert_allclose(fused.anchors_K[-members:], scripted.anchors_K[-members:], rtol=1e-5, atol=1e-5)
        assert (fused.residual, fused.noise) == pytest.approx((scripted.residual, scripted.noise), abs=1e-5)


@pytest.mark.parametrize("name", SIZES)
def test_a_rollout_may_stop_and_go_on_and_a_sequence_may_come_in_parts(
    name: str, runtimes: dict[str, tuple[EnsembleRuntime, ScriptedAnchoredRuntime]]
) -> None:
    runtime = runtimes[name][0]
    for length in CONTEXTS:
        x_T = sales(length).tolist()
        whole_S, after = runtime.forecast(x_T, STEPS, 12)
        [state] = encoded(runtime, [x_T])
        first_BS, middle = runtime.rollout([state], 5)
        rest_BS, last = runtime.rollout(middle, STEPS - 5)
        np.testing.assert_array_equal(np.concatenate([first_BS[0], rest_BS[0]]), whole_S)
        np.testing.assert_array_equal(last[0].anchors_K, after.anchors_K)
        begun = runtime.start(x_T, 12)
        for part in (x_T[:13], x_T[13:]):
            [begun] = runtime.encode([part], [begun]) if part else [begun]
        np.testing.assert_allclose(begun.anchors_K, state.anchors_K, rtol=1e-12, atol=1e-12)
        assert begun.residual == pytest.approx(state.residual, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3), logarithm=st.booleans())
def test_the_forecast_follows_the_unit(factor: float, shift: float, logarithm: bool) -> None:
    sizes = MemberSizes(values=14, cells=2, errors=1, season=7, logarithm=logarithm)
    x_T = sales(60)
    other_T = factor * (x_T if logarithm else x_T + shift)
    values = []
    for given_T in (x_T, other_T):
        level, scale = (given_T.min() + given_T.max()) / 2, np.ptp(given_T) / 2
        members = ReferenceMembers(fitted(sizes), level / scale)
        for z in (given_T - level) / scale:
            members.observe(float(z))
        forecast = members.forecast()
        assert forecast is not None
        values.append(forecast * scale + level)
    expected = factor * (values[0] if logarithm else values[0] + shift)
    assert values[1] == pytest.approx(expected, rel=1e-6, abs=1e-6 * factor)


@pytest.mark.parametrize(
    "x_T", [np.arange(40.0) - 20, np.full(40, 3.0), sales(5)], ids=["not positive", "constant", "too short"]
)
def test_the_anchored_network_alone_forecasts_what_the_members_cannot(
    x_T: Floats, runtimes: dict[str, tuple[EnsembleRuntime, ScriptedAnchoredRuntime]]
) -> None:
    sizes = SIZES["logarithms"]
    silent = EnsembleNetwork(Architecture(inputs="anchors", cell="gru", hidden=8, members=sizes)).eval()
    silent.anchored.load_state_dict(network(sizes).anchored.state_dict())
    alone = EnsembleRuntime(silent, described(sizes))
    values_S, _ = runtimes["logarithms"][0].forecast(x_T.tolist(), STEPS, 12)
    np.testing.assert_allclose(values_S, alone.forecast(x_T.tolist(), STEPS, 12)[0], rtol=1e-9)


def test_a_state_token_carries_the_members(
    runtimes: dict[str, tuple[EnsembleRuntime, ScriptedAnchoredRuntime]],
) -> None:
    runtime, digest, about = runtimes["two seasons"][0], "0" * 64, described(SIZES["two seasons"])
    [state] = encoded(runtime, [sales(90).tolist()])
    read = read_token(write_token(state, None, digest), digest, about.architecture).state
    assert read is not None
    np.testing.assert_array_equal(runtime.rollout([read], STEPS)[0], runtime.rollout([state], STEPS)[0])
