"""The Jacobian of single values of rollouts by every parameter, row by row, for nonlinear least squares.

A gradient of a loss takes one backward pass; here each row has a gradient of its own. Rows share no state. One backward
pass through the sum of their values therefore still yields a separate derivative for each row by the layer's
pre-activations z_t, the inputs of the cell's nonlinearity. With δ_t = ∂y/∂z_t,

    ∂y/∂W_x = Σ_t δ_t x_tᵀ    ∂y/∂W_h = Σ_t δ_t h_(t-1)ᵀ    ∂y/∂b = Σ_t δ_t

as in `model/cell.py`, with the sums kept apart for each row. Each row and each step gets its own bias, and δ_t is the
derivative by that bias. A GRU has one δ_t for b_x and W_x and another for b_h and W_h. (Goodfellow, "Efficient
per-example gradient computations", arXiv:1510.01799, 2015, does this for layers without time.)

Shape suffixes: B rows, T time, S steps of a rollout, I inputs, H hidden units, G rows of all gates, P parameters.
"""

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from model.cell import CELLS
from model.network import Network


def values_and_jacobian(network: Network, x_BT: Tensor, step_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return one value of each row's rollout, [B], and its derivatives by the parameters, [B, P].

    Args:
        network: the network that rolls out.
        x_BT: normalised values.
        step_B: the step of the rollout for each row, from 0 for the next value; long integers.

    Returns:
        The values and the Jacobian. Parameters are in the order of `network.parameters()`, each flattened.
    """
    context, steps = x_BT.size(1), int(step_B.max())
    rows = len(step_B)
    weights = [[weight.detach() for weight in network.weights(layer)] for layer in range(network.layers)]
    cells = [CELLS[network.cell](*four) for four in weights]
    readout_1H, b_y_1 = network.readout.weight.detach(), network.readout.bias.detach()
    maps = [_Linear() for _ in range(2 * len(cells) + 1)]  # one of x and one of h in each layer, and the readout
    states = [x_BT.new_zeros(rows, cell.memory) for cell in cells]
    values: list[Tensor] = []
    for t in range(context + steps):
        below_BI = x_BT[:, t : t + 1] if t < context else values[-1]
        for layer, cell in enumerate(cells):
            b_x_BG = maps[2 * layer].use(weights[layer][2], below_BI)
            b_h_BG = maps[2 * layer + 1].use(weights[layer][3], states[layer][:, : cell.hidden])
            states[layer] = dataclasses.replace(cell, b_x_G=b_x_BG, b_h_G=b_h_BG).step(below_BI, states[layer])
            below_BI = states[layer][:, : cell.hidden]
        if t >= context - 1:
            values.append(below_BI @ readout_1H.T + maps[-1].use(b_y_1, below_BI))
    y_B = torch.cat(values, dim=1).gather(1, step_B.unsqueeze(1)).squeeze(1)
    # Steps after a row's own do not reach its value. Their derivative is zero, or missing and then set to zero.
    biases = [bias for linear in maps for bias in linear.biases]
    derivatives = iter(torch.autograd.grad(y_B.sum(), biases, materialize_grads=True))
    parts: list[Tensor] = []
    for layer in range(len(cells)):
        (W_x, b_x), (W_h, b_h) = maps[2 * layer].sums(derivatives), maps[2 * layer + 1].sums(derivatives)
        parts += [W_x, W_h, b_x, b_h]
    return y_B.detach(), torch.cat([*parts, *maps[-1].sums(derivatives)], dim=1)


class _Linear:
    """The uses of one linear map: its inputs, and a separate bias for each row and each use."""

    def __init__(self) -> None:
        self.biases: list[Tensor] = []
        self._inputs: list[Tensor] = []

    def use(self, b_G: Tensor, x_BI: Tensor) -> Tensor:
        """Record an input. Return the bias as variables [B, G], one copy for each row, to differentiate by."""
        self._inputs.append(x_BI.detach())
        self.biases.append(b_G.expand(len(x_BI), -1).requires_grad_())
        return self.biases[-1]

    def sums(self, derivatives: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the derivatives by the matrix, [B, G·I], and by the bias, [B, G], from the next derivatives by
        `biases`.
        """
        delta_BGT = torch.stack([next(derivatives) for _ in self.biases], dim=2)
        return (delta_BGT @ torch.stack(self._inputs, dim=1)).flatten(1), delta_BGT.sum(dim=2)
