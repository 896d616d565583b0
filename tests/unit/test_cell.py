"""Tests of the cells against PyTorch's: the forward pass, and for the tanh cell the backward pass by hand."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from model.cell import CELLS, Cell, Readout, backward, unroll, unroll_stack
from model.metadata import CellKind

B, T, I, H = 3, 20, 2, 8  # noqa: E741 - the legend's letters


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


KINDS: tuple[CellKind, ...] = ("rnn", "gru", "lstm")
THEIR_STEP = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
THEIRS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def random_cell(inputs: int, kind: CellKind = "rnn", *, two_biases: bool = True) -> Cell:
    def weight(*shape: int) -> Tensor:
        return (0.5 * torch.randn(*shape, dtype=torch.float64)).requires_grad_()

    rows = {"rnn": 1, "gru": 3, "lstm": 4}[kind] * H
    return CELLS[kind](weight(rows, inputs), weight(rows, H), weight(rows), weight(rows) if two_biases else None)


def copy_into(cell: Cell, weights: Sequence[Tensor]) -> None:
    """Copy the cell's weights into torch's W_ih, W_hh, b_ih and b_hh."""
    second = torch.zeros_like(cell.b_x_G) if cell.b_h_G is None else cell.b_h_G
    with torch.no_grad():
        for target, source in zip(weights, (cell.W_x_GI, cell.W_h_GH, cell.b_x_G, second), strict=True):
            target.copy_(source)


def in_two(kind: CellKind, state: Tensor | None) -> Tensor | tuple[Tensor, ...] | None:
    """Split a state into PyTorch's form: h, or h and c for an LSTM."""
    return tuple(state.chunk(2, dim=-1)) if kind == "lstm" and state is not None else state


def in_one(state: Tensor | tuple[Tensor, ...]) -> Tensor:
    return state if isinstance(state, Tensor) else torch.cat(state, dim=-1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("two_biases", [True, False])
def test_a_step_equals_that_of_torch(kind: CellKind, two_biases: bool) -> None:
    cell = random_cell(I, kind, two_biases=two_biases)
    theirs = THEIR_STEP[kind](I, H, dtype=torch.float64)
    copy_into(cell, list(theirs.parameters()))
    x_BI, state_BM = torch.randn(B, I, dtype=torch.float64), torch.randn(B, cell.memory, dtype=torch.float64)
    expected_BM = in_one(theirs(x_BI, in_two(kind, state_BM)))
    torch.testing.assert_close(cell.step(x_BI, state_BM), expected_BM, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("two_biases", [True, False])
@pytest.mark.parametrize("from_zero", [True, False])
def test_stacked_cells_equal_those_of_torch(kind: CellKind, layers: int, two_biases: bool, from_zero: bool) -> None:
    cells = [random_cell(I if layer == 0 else H, kind, two_biases=two_biases) for layer in range(layers)]
    theirs = THEIRS[kind](I, H, layers, batch_first=True, dtype=torch.float64)
    parameters = list(theirs.parameters())
    for layer, cell in enumerate(cells):
        copy_into(cell, parameters[4 * layer : 4 * layer + 4])
    x_BTI = torch.randn(B, T, I, dtype=torch.float64)
    state_LBM = None if from_zero else torch.randn(layers, B, cells[0].memory, dtype=torch.float64)
    h_BTH, last_LBM = unroll_stack(cells, x_BTI, state_LBM)
    expected_BTH, expected_last = theirs(x_BTI, in_two(kind, state_LBM))
    torch.testing.assert_close(h_BTH, expected_BTH, atol=1e-12, rtol=0)
    torch.testing.assert_close(last_LBM, in_one(expected_last), atol=1e-12, rtol=0)


def test_back_propagation_by_hand_equals_autograd_for_one_layer() -> None:
    cell = random_cell(I)
    x_BTI = torch.randn(B, T, I, dtype=torch.float64, requires_grad=True)
    target_BTH = torch.randn(B, T, H, dtype=torch.float64)
    h_BTH = unroll(cell, x_BTI)
    loss = ((h_BTH - target_BTH) ** 2).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        ours = backward(cell, x_BTI, h_BTH, 2 * (h_BTH - target_BTH) / h_BTH.numel())
    expected = (cell.W_x_GI.grad, cell.W_h_GH.grad, cell.b_x_G.grad, x_BTI.grad)
    for mine, theirs in zip((ours.W_x_HI, ours.W_h_HH, ours.b_H, ours.x_BTI), expected, strict=True):
        assert theirs is not None
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)
    torch.testing.assert_close(cell.b_h_G.grad if cell.b_h_G is not None else None, cell.b_x_G.grad)


def test_back_propagation_by_hand_equals_autograd_through_a_stack_and_a_loss_on_the_last_prediction() -> None:
    lower, upper = random_cell(1), random_cell(H)
    readout = Readout(torch.randn(1, H, dtype=torch.float64), torch.randn(1, dtype=torch.float64))
    x_BTI, target_B1 = torch.randn(B, T, 1, dtype=torch.float64), torch.randn(B, 1, dtype=torch.float64)
    lower_BTH = unroll(lower, x_BTI)
    upper_BTH = unroll(upper, lower_BTH)
    error_B1 = readout(upper_BTH[:, -1]) - target_B1
    (error_B1**2).mean().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        g_BTH = torch.zeros_like(upper_BTH)
        g_BTH[:, -1] = (2 / B) * error_B1 @ readout.W_y_OH  # only the last step contributes to the loss
        ours = {"upper": backward(upper, lower_BTH, upper_BTH, g_BTH)}
        ours["lower"] = backward(lower, x_BTI, lower_BTH, ours["upper"].x_BTI)
    for name, cell in (("upper", upper), ("lower", lower)):
        for mine, theirs in (
            (ours[name].W_x_HI, cell.W_x_GI.grad),
            (ours[name].W_h_HH, cell.W_h_GH.grad),
            (ours[name].b_H, cell.b_x_G.grad),
        ):
            assert theirs is not None
            torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_the_readout_is_linear_or_a_softmax_over_the_outputs() -> None:
    W_y_OH, b_y_O = torch.randn(5, H), torch.randn(5)
    h_BTH = torch.randn(B, T, H)
    linear_BTO = nn.functional.linear(h_BTH, W_y_OH, b_y_O)
    torch.testing.assert_close(Readout(W_y_OH, b_y_O)(h_BTH), linear_BTO, atol=1e-6, rtol=0)
    probabilities_BTO = Readout(W_y_OH, b_y_O, "softmax")(h_BTH)
    torch.testing.assert_close(probabilities_BTO, linear_BTO.softmax(-1), atol=1e-6, rtol=0)
    torch.testing.assert_close(probabilities_BTO.sum(-1), torch.ones(B, T))
