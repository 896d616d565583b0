"""Tests of the network: shapes, the fold, normalisation, and TorchScript, which computes what Python computes."""

import itertools

import pytest
import torch
from torch import Tensor

from model.metadata import Architecture, CellKind
from model.network import Network

B, T = 3, 40


CELLS: tuple[CellKind, ...] = ("rnn", "gru", "lstm")


@pytest.fixture(params=itertools.product(CELLS, [1, 2]), ids=lambda param: f"{param[0]} {param[1]} layers")
def network(request: pytest.FixtureRequest) -> Network:
    cell, layers = request.param
    torch.manual_seed(layers)
    return Network(Architecture(cell=cell, hidden=16, layers=layers)).eval()


def waves(batch: int = B, length: int = T) -> Tensor:
    """Return sines of different periods, [B, T], in double precision."""
    period_B = torch.linspace(10, 50, batch, dtype=torch.float64)
    return torch.sin(2 * torch.pi * torch.arange(length) / period_B[:, None] + 0.3)


def zero_state(network: Network, batch: int = B) -> Tensor:
    return torch.zeros(network.layers, batch, network.memory)


def unfolded_rollout(network: Network, x_BT: Tensor, steps: int) -> Tensor:
    """Compute a rollout with a plain loop that gives each prediction to the network as the next input."""
    y_BT, state_LBM = network(x_BT)
    values = []
    y_B1 = y_BT[:, -1:]
    for _ in range(steps):
        values.append(y_B1)
        y_B1, state_LBM = network(y_B1, state_LBM)
    return torch.cat(values, dim=1)


def test_forward_gives_a_prediction_for_every_time_and_the_last_state(network: Network) -> None:
    y_BT, state_LBM = network(waves().float())
    assert y_BT.shape == (B, T)
    assert state_LBM.shape == (network.layers, B, 32 if network.cell == "lstm" else 16)


def test_forward_can_stop_anywhere_and_go_on_from_its_state(network: Network) -> None:
    x_BT = waves().float()
    whole_BT, last_LBM = network(x_BT)
    first_BT, state_LBM = network(x_BT[:, :15])
    second_BT, end_LBM = network(x_BT[:, 15:], state_LBM)
    torch.testing.assert_close(torch.cat([first_BT, second_BT], dim=1), whole_BT, atol=1e-6, rtol=0)
    torch.testing.assert_close(end_LBM, last_LBM, atol=1e-6, rtol=0)


def test_no_initial_state_is_the_zero_state(network: Network) -> None:
    x_BT = waves().float()
    torch.testing.assert_close(network(x_BT)[0], network(x_BT, zero_state(network))[0], atol=0, rtol=0)


def test_the_folded_rollout_equals_the_unfolded_loop(network: Network) -> None:
    x_BT = waves().float()
    _, state_LBM = network(x_BT)
    y_BS, _ = network.rollout(state_LBM, 100, network.fold())
    assert y_BS.shape == (B, 100)
    torch.testing.assert_close(y_BS, unfolded_rollout(network, x_BT, 100), atol=1e-5, rtol=0)


def test_the_fold_is_exact_up_to_rounding(network: Network) -> None:
    exact = network.double()
    _, state_LBM = exact(waves())
    y_BS, _ = exact.rollout(state_LBM, 100, exact.fold())
    torch.testing.assert_close(y_BS, unfolded_rollout(exact, waves(), 100), atol=1e-13, rtol=0)


def test_a_rollout_can_stop_anywhere_and_go_on_from_its_state(network: Network) -> None:
    _, state_LBM = network(waves().float())
    whole_BS, last_LBM = network.rollout(state_LBM, 30, network.fold())
    first_BS, middle_LBM = network.rollout(state_LBM, 11, network.fold())
    second_BS, end_LBM = network.rollout(middle_LBM, 19, network.fold())
    torch.testing.assert_close(torch.cat([first_BS, second_BS], dim=1), whole_BS, atol=1e-6, rtol=0)
    torch.testing.assert_close(end_LBM, last_LBM, atol=1e-6, rtol=0)


def test_the_first_value_of_a_rollout_is_the_prediction(network: Network) -> None:
    y_BT, state_LBM = network(waves().float())
    torch.testing.assert_close(network.rollout(state_LBM, 1, network.fold())[0][:, 0], y_BT[:, -1], atol=1e-6, rtol=0)


def test_padding_never_reaches_a_state(network: Network) -> None:
    x_BT = waves().float()
    lengths = [1, 17, T]
    padded_BT = x_BT.clone()
    for row, length in enumerate(lengths):
        padded_BT[row, length:] = 1e3
    state_LBM, error_BT = network.encode(padded_BT, torch.tensor(lengths), zero_state(network))
    for row, length in enumerate(lengths):
        alone_1T, alone_L1M = network(x_BT[row : row + 1, :length])
        torch.testing.assert_close(state_LBM[:, row], alone_L1M[:, 0], atol=1e-6, rtol=0)
        expected_T = x_BT[row, 1:length] - alone_1T[0, :-1]
        torch.testing.assert_close(error_BT[row, 1:length], expected_T, atol=1e-6, rtol=0)


def test_twice_the_input_gives_twice_the_output(network: Network) -> None:
    once_BS, twice_BS = network.generate(waves(), 50), network.generate(2 * waves(), 50)
    torch.testing.assert_close(twice_BS, 2 * once_BS, atol=0, rtol=0)  # two is a power of two, so the result is exact


@pytest.mark.parametrize("amplitude", [1e-300, 1e-6, 1e6, 1e15])
def test_no_magnitude_is_lost_before_normalisation(network: Network, amplitude: float) -> None:
    expected_BS = amplitude * network.generate(waves(), 50)
    torch.testing.assert_close(network.generate(amplitude * waves(), 50), expected_BS, atol=1e-5 * amplitude, rtol=0)


@pytest.mark.parametrize("value", [0.0, -3.7, 1e15])
def test_a_constant_sequence_is_continued_by_itself(network: Network, value: float) -> None:
    values_BS = network.generate(torch.full((1, 8), value, dtype=torch.float64), 5)
    assert values_BS.tolist() == [[value] * 5]


def test_only_one_layer_without_a_reset_gate_folds(network: Network) -> None:
    assert bool(network.fold()) == (network.layers == 1 and network.cell != "gru")


def test_torchscript_computes_what_python_does(network: Network) -> None:
    script = torch.jit.script(network)
    x_BT = waves()
    torch.testing.assert_close(script.generate(x_BT, 50), network.generate(x_BT, 50), atol=1e-6, rtol=0)
    torch.testing.assert_close(script(x_BT.float())[0], network(x_BT.float())[0], atol=1e-6, rtol=0)


def test_training_through_the_rollout_reaches_every_weight(network: Network) -> None:
    _, state_LBM = network(waves().float())
    y_BS, _ = network.rollout(state_LBM, 20, network.fold())
    y_BS.square().mean().backward()  # type: ignore[no-untyped-call]
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"layers": 0}, {"cell": "transformer"}])
def test_an_impossible_architecture_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Architecture.model_validate(wrong)


def test_the_architecture_knows_its_number_of_parameters(network: Network) -> None:
    architecture = Architecture(cell=network.cell, hidden=network.hidden, layers=network.layers)
    assert architecture.parameters == sum(parameter.numel() for parameter in network.parameters())
