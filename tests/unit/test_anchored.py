"""Tests of the anchored network: what it begins as, parts of sequences and rollouts, units, and TorchScript."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model.anchored import AnchoredNetwork
from model.anchors import ANCHORS
from model.anchors.batched import observe
from model.artifact import load_module, network_of, read_artifact, save_artifact
from model.golden import make_golden
from model.metadata import Architecture, CellKind, GoldenCase, InputKind, Metadata
from model.network import Network

B, T = 3, 30
KINDS: list[tuple[CellKind, int]] = [("rnn", 1), ("gru", 1), ("gru", 2), ("lstm", 2)]


def anchored(cell: CellKind = "gru", layers: int = 1, *, begins: bool = False) -> AnchoredNetwork:
    """Return a network with a random readout; with one of zeros, as it begins, if told."""
    torch.manual_seed(layers)
    network = AnchoredNetwork(Architecture(inputs="anchors", cell=cell, hidden=8, layers=layers)).eval()
    if not begins:
        nn.init.normal_(network.readout.weight, std=0.3)
        nn.init.normal_(network.readout.bias, std=0.3)
    return network


@pytest.fixture(params=KINDS, ids=lambda param: f"{param[0]} {param[1]} layers")
def network(request: pytest.FixtureRequest) -> AnchoredNetwork:
    return anchored(*request.param)


def sales(batch: int = B, length: int = T) -> Tensor:
    """Return positive sequences with a trend and a season of 4, [B, T], in double precision."""
    noise_BT = torch.randn(batch, length, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    time_T = torch.arange(length)
    return 20 + 0.3 * time_T + 4 * torch.sin(torch.pi * time_T / 2) + noise_BT


class Encoded:
    """Sequences that a network has encoded: their normalised values and both states after them."""

    def __init__(self, network: AnchoredNetwork, x_BT: Tensor, season: int = 4) -> None:
        level_B, scale_B = network.units(x_BT)
        self.z_BT = network.normalise(x_BT, level_B, scale_B)
        self.length_B = torch.full([len(x_BT)], x_BT.size(1))
        self.start_BK = network.start(level_B, scale_B, season)
        self.zero_LBM = self.z_BT.new_zeros(network.layers, len(x_BT), network.memory)
        self.state_LBM, self.anchors_BK, self.error_BT = network.encode(
            self.z_BT, self.length_B, self.zero_LBM, season, self.start_BK
        )


def test_it_begins_as_the_mean_of_its_anchors() -> None:
    network = anchored(begins=True).double()
    encoded = Encoded(network, sales())
    _, forecast_BTA, _ = observe(encoded.z_BT, encoded.length_B, encoded.start_BK, 4)
    y_BT, _, _ = network(encoded.z_BT, 4, encoded.start_BK)
    torch.testing.assert_close(y_BT, forecast_BTA.mean(dim=2), atol=1e-12, rtol=0)


def test_encode_returns_the_errors_of_the_predictions(network: AnchoredNetwork) -> None:
    encoded = Encoded(network.double(), sales())
    y_BT, state_LBM, anchors_BK = network(encoded.z_BT, 4, encoded.start_BK)
    torch.testing.assert_close(encoded.error_BT[:, 1:], encoded.z_BT[:, 1:] - y_BT[:, :-1], atol=1e-12, rtol=0)
    torch.testing.assert_close(encoded.state_LBM, state_LBM, atol=1e-12, rtol=0)
    torch.testing.assert_close(encoded.anchors_BK, anchors_BK, atol=1e-12, rtol=0)


@given(cut=st.integers(1, T - 1), season=st.sampled_from([1, 4, 20]))
@settings(deadline=None, max_examples=8)
def test_values_can_be_given_in_parts(cut: int, season: int) -> None:
    network = anchored().double()
    whole = Encoded(network, sales(), season)
    first_LBM, first_BK, first_BT = network.encode(
        whole.z_BT[:, :cut], torch.full([B], cut), whole.zero_LBM, season, whole.start_BK
    )
    end_LBM, end_BK, second_BT = network.encode(
        whole.z_BT[:, cut:], torch.full([B], T - cut), first_LBM, season, first_BK
    )
    torch.testing.assert_close(torch.cat([first_BT, second_BT], dim=1), whole.error_BT, atol=1e-10, rtol=0)
    torch.testing.assert_close(end_LBM, whole.state_LBM, atol=1e-10, rtol=0)
    torch.testing.assert_close(end_BK, whole.anchors_BK, atol=1e-10, rtol=0)


@given(cut=st.integers(1, 19), season=st.sampled_from([1, 4, 40]))
@settings(deadline=None, max_examples=8)
def test_a_rollout_can_stop_anywhere_and_go_on_from_its_states(cut: int, season: int) -> None:
    network = anchored()
    encoded = Encoded(network, sales(), season)
    whole_BS, end_LBM, end_BK = network.rollout(encoded.state_LBM, 20, season, encoded.anchors_BK)
    first_BS, middle_LBM, middle_BK = network.rollout(encoded.state_LBM, cut, season, encoded.anchors_BK)
    second_BS, last_LBM, last_BK = network.rollout(middle_LBM, 20 - cut, season, middle_BK)
    assert torch.equal(torch.cat([first_BS, second_BS], dim=1), whole_BS)  # the same steps, so the same bits
    assert torch.equal(last_LBM, end_LBM)
    assert torch.equal(last_BK, end_BK)


def test_padding_never_reaches_a_state(network: AnchoredNetwork) -> None:
    network.double()
    whole, lengths = Encoded(network, sales()), [1, 17, T]
    padded_BT = whole.z_BT.clone()
    for row, length in enumerate(lengths):
        padded_BT[row, length:] = 1e3
    state_LBM, anchors_BK, error_BT = network.encode(
        padded_BT, torch.tensor(lengths), whole.zero_LBM, 4, whole.start_BK
    )
    for row, length in enumerate(lengths):
        y_1T, alone_L1M, alone_1K = network(whole.z_BT[[row], :length], 4, whole.start_BK[[row]])
        torch.testing.assert_close(state_LBM[:, [row]], alone_L1M, atol=1e-12, rtol=0)
        torch.testing.assert_close(anchors_BK[[row]], alone_1K, atol=1e-12, rtol=0)
        expected_T = whole.z_BT[row, 1:length] - y_1T[0, :-1]
        torch.testing.assert_close(error_BT[row, 1:length], expected_T, atol=1e-12, rtol=0)


@pytest.mark.parametrize("season", [1, 4])
def test_a_rollout_reproduces_the_reference(network: AnchoredNetwork, season: int) -> None:
    """The reference is `model/golden.py`, which shares no code with the network."""
    sequences = [x_T.tolist() for x_T in (*sales(), -sales(1, 7)[0], sales(1, 1)[0])]
    golden = make_golden(network, sequences, 8, [season] * len(sequences))
    network.double()
    for case in golden.cases:
        values_BS = network.generate(torch.tensor([case.sequence], dtype=torch.float64), 8, case.season)
        torch.testing.assert_close(values_BS[0].tolist(), case.values, atol=1e-9, rtol=0)


def test_single_precision_follows_double_precision() -> None:
    network, x_BT = anchored(), sales(B, 100)
    single_BS = network.generate(x_BT, 24, 4)
    torch.testing.assert_close(single_BS, network.double().generate(x_BT, 24, 4), atol=1e-3, rtol=0)


@pytest.mark.parametrize("season", [1, 4])
def test_twice_the_input_gives_twice_the_output(season: int) -> None:
    network = anchored()
    once_BS, twice_BS = network.generate(sales(), 50, season), network.generate(2 * sales(), 50, season)
    torch.testing.assert_close(twice_BS, 2 * once_BS, atol=0, rtol=0)  # two is a power of two, so the result is exact


def test_a_forecast_without_growth_follows_its_level() -> None:
    """Growth is used for positive values alone."""
    network = anchored().double()
    expected_BS = network.generate(sales() - 100, 20, 4) - 1000
    torch.testing.assert_close(network.generate(sales() - 1100, 20, 4), expected_BS, atol=1e-8, rtol=0)


@pytest.mark.parametrize("value", [0.0, -3.7, 1e15])
@pytest.mark.parametrize("season", [1, 12])
def test_a_constant_sequence_is_continued_by_itself(value: float, season: int) -> None:
    values_BS = anchored().generate(torch.full((1, 8), value, dtype=torch.float64), 5, season)
    assert values_BS.tolist() == [[value] * 5]


def test_torchscript_computes_what_python_does(network: AnchoredNetwork) -> None:
    script = torch.jit.script(network)
    x_BT = sales()
    for season in (1, 4, 40):
        scripted_BS, eager_BS = (one.generate(x_BT, 8, season) for one in (script, network))
        torch.testing.assert_close(scripted_BS, eager_BS, atol=0, rtol=1e-6)
    start_BK = Encoded(network, x_BT).start_BK
    scripted, eager = (one(x_BT.float(), 4, start_BK) for one in (script, network))
    torch.testing.assert_close(scripted, eager, atol=1e-6, rtol=1e-6)


def test_training_through_the_rollout_reaches_every_weight(network: AnchoredNetwork) -> None:
    encoded = Encoded(network, sales())
    _, state_LBM, anchors_BK = network(encoded.z_BT, 4, encoded.start_BK)
    y_BS, _, _ = network.rollout(state_LBM, 10, 4, anchors_BK)
    y_BS.square().mean().backward()  # type: ignore[no-untyped-call]
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


def test_the_architecture_knows_its_number_of_parameters(network: AnchoredNetwork) -> None:
    architecture = Architecture(inputs="anchors", cell=network.cell, hidden=network.hidden, layers=network.layers)
    assert architecture.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert network.readout.out_features == len(ANCHORS) + 1


def described(inputs: InputKind) -> Metadata:
    architecture = Architecture(inputs=inputs, cell="gru", hidden=4)
    return Metadata(
        name="any", version="1", architecture=architecture, data={}, training={}, errors={}, torch_version="2.13.0"
    )


@pytest.mark.parametrize(("inputs", "kind"), [("value", Network), ("anchors", AnchoredNetwork)])
def test_the_metadata_choose_the_kind_of_network(inputs: InputKind, kind: type) -> None:
    metadata = Metadata.model_validate_json(described(inputs).model_dump_json())
    assert metadata.architecture.inputs == inputs
    assert type(network_of(metadata)) is kind


def test_an_artifact_holds_an_anchored_network(tmp_path: Path) -> None:
    metadata = described("anchors")
    network = network_of(metadata)
    assert isinstance(network, AnchoredNetwork)
    nn.init.normal_(network.readout.weight)
    golden = make_golden(network, [sales(1)[0].tolist()], 8, [4])
    save_artifact(network, metadata, golden, tmp_path / "any.pt")
    artifact = read_artifact(tmp_path / "any.pt")
    assert artifact.golden == golden
    assert artifact.metadata == metadata
    module = load_module(artifact, torch.device("cpu"))
    values_BS = module.generate(sales(1), 8, golden.cases[0].season)
    torch.testing.assert_close(values_BS[0].tolist(), golden.cases[0].values, atol=1e-4, rtol=0)


def test_artifacts_of_networks_that_see_the_value_do_not_name_their_inputs() -> None:
    """Older artifacts do not, and the same weights exported again have to give the same bytes."""
    assert "inputs" not in described("value").architecture.model_dump()
    assert "season" not in GoldenCase(sequence=[1.0], values=[1.0]).model_dump()
    assert "inputs" in described("anchors").architecture.model_dump()
    assert "season" in GoldenCase(sequence=[1.0], season=7, values=[1.0]).model_dump()
