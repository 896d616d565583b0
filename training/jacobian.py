"""The derivative of single values of a rollout by every parameter, row by row, as nonlinear least squares needs it.

A gradient of a loss comes from one backward pass; here each row has a gradient of its own. Rows share no state, so one
backward pass through the sum of their values still holds them all: the derivative by the layer's inputs z_t (what the
cell's nonlinearity is applied to), row by row. With δ_t = ∂y/∂z_t,

    ∂y/∂W_x = Σ_t δ_t x_tᵀ    ∂y/∂W_h = Σ_t δ_t h_(t-1)ᵀ    ∂y/∂b = Σ_t δ_t

as in `model/cell.py`, with the sums kept apart for each row. Here δ_t is read off as the derivative by a bias that is
given to each row and each step separately. (Goodfellow, "Efficient per-example gradient computations",
arXiv:1510.01799, 2015, does this for layers without time.)

Shape suffixes: B rows, T time, S steps of a rollout, I inputs, H hidden units, P parameters.
"""

import dataclasses

import torch
from torch import Tensor

from model.cell import Cell, step
from model.network import Network


def values_and_jacobian(network: Network, x_BT: Tensor, step_B: Tensor) -> tuple[Tensor, Tensor]:
    """One value of each row's rollout, [B], and its derivatives by the parameters, [B, P].

    Args:
        x_BT: normalised values.
        step_B: which value of the rollout, from 0 for the next one; long integers.

    Returns:
        Parameters are in the order of `network.parameters()`, each flattened.
    """
    context, steps = x_BT.size(1), int(step_B.max())
    rows = len(step_B)
    cells = [Cell(*(weight.detach() for weight in network.weights(layer))) for layer in range(network.layers)]
    readout_1H, b_y_1 = network.readout.weight.detach(), network.readout.bias.detach()
    layers = [_Linear() for _ in cells]
    hidden = [x_BT.new_zeros(rows, readout_1H.size(1)) for _ in cells]
    readout = _Linear()
    values: list[Tensor] = []
    for t in range(context + steps):
        below_BI = x_BT[:, t : t + 1] if t < context else values[-1]
        for layer, cell in enumerate(cells):
            b_x_BH = _separate(cell.b_x_H, rows)
            layers[layer].add(b_x_BH, below_BI, hidden[layer])
            below_BI = hidden[layer] = step(dataclasses.replace(cell, b_x_H=b_x_BH), below_BI, hidden[layer])
        if t >= context - 1:
            b_y_B1 = _separate(b_y_1, rows)
            readout.add(b_y_B1, below_BI)
            values.append(below_BI @ readout_1H.T + b_y_B1)
    y_B = torch.cat(values, dim=1).gather(1, step_B.unsqueeze(1)).squeeze(1)
    biases = [bias for part in [*layers, readout] for bias in part.biases]
    # What comes after a row's own step does not reach its value: a derivative of zero, or none.
    delta = iter(torch.autograd.grad(y_B.sum(), biases, materialize_grads=True))
    with torch.no_grad():
        parts: list[Tensor] = []
        for part in [*layers, readout]:
            delta_BHT = torch.stack([next(delta) for _ in part.biases], dim=2)
            parts += [(delta_BHT @ torch.stack(inputs, dim=1)).flatten(1) for inputs in part.inputs]
            parts += [delta_BHT.sum(dim=2)] * len(part.inputs)  # a bias for each matrix
        return y_B.detach(), torch.cat(parts, dim=1)


class _Linear:
    """What the derivatives of a linear map need of its uses: the separate biases and the inputs of each matrix."""

    def __init__(self) -> None:
        self.biases: list[Tensor] = []
        self.inputs: tuple[list[Tensor], ...] = ()

    def add(self, b_BH: Tensor, *inputs: Tensor) -> None:
        self.biases.append(b_BH)
        self.inputs = self.inputs or tuple([] for _ in inputs)
        for kept, new_BI in zip(self.inputs, inputs, strict=True):
            kept.append(new_BI.detach())


def _separate(b_H: Tensor, rows: int) -> Tensor:
    """The same bias for each row, as a variable to differentiate by."""
    return b_H.expand(rows, -1).requires_grad_()
