"""The recurrent cell, written from its equations; the reference that everything else is compared with.

    h_t = tanh(W_x x_t + b_x + W_h h_(t-1) + b_h)          h_0 = 0
    y_t = f(W_y h_t + b_y)

f is the identity for regression and softmax for classification. Two biases are one too many for the mathematics
(only their sum counts), but two is what cuDNN and `torch.nn.RNN` store, so a cell takes either.

Back-propagation through time goes from the last step to the first. With g_t = ∂L/∂h_t as the outputs alone see it:

    ∂L/∂h_t = g_t + W_hᵀ δ_(t+1)                           δ_(T+1) = 0
    δ_t     = (1 - h_t²) ⊙ ∂L/∂h_t                         the derivative of tanh, from its own output
    ∂L/∂W_h = Σ_t δ_t h_(t-1)ᵀ    ∂L/∂W_x = Σ_t δ_t x_tᵀ    ∂L/∂b = Σ_t δ_t

Reference: Goodfellow, Bengio, Courville, *Deep Learning* (MIT Press, 2016), section 10.2: the equations 10.8 to 10.11
and, for the gradients, 10.18 to 10.28.

Shape suffixes: B batch, T time, I inputs, H hidden units, O outputs, L layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cell:
    """The weights of one recurrent layer."""

    W_x_HI: Tensor
    W_h_HH: Tensor
    b_x_H: Tensor
    b_h_H: Tensor | None = None
    """The second bias; None where one bias does."""

    @property
    def b_H(self) -> Tensor:
        return self.b_x_H if self.b_h_H is None else self.b_x_H + self.b_h_H


@dataclass(frozen=True)
class Readout:
    """The output layer, y = f(W_y h + b_y)."""

    W_y_OH: Tensor
    b_y_O: Tensor
    f: Literal["identity", "softmax"] = "identity"

    def __call__(self, h_BTH: Tensor) -> Tensor:
        """Outputs of shape [..., O] for hidden states of shape [..., H]."""
        z_BTO = h_BTH @ self.W_y_OH.T + self.b_y_O
        return torch.softmax(z_BTO, dim=-1) if self.f == "softmax" else z_BTO


def step(cell: Cell, x_BI: Tensor, h_BH: Tensor) -> Tensor:
    """The next hidden state, [B, H]."""
    return torch.tanh(x_BI @ cell.W_x_HI.T + h_BH @ cell.W_h_HH.T + cell.b_H)


def unroll(cell: Cell, x_BTI: Tensor, h_BH: Tensor | None = None) -> Tensor:
    """The hidden states [B, T, H] after each input, from `h_BH` or from zero."""
    if h_BH is None:
        h_BH = x_BTI.new_zeros(x_BTI.shape[0], cell.W_h_HH.shape[0])
    states = []
    for x_BI in x_BTI.unbind(dim=1):
        h_BH = step(cell, x_BI, h_BH)
        states.append(h_BH)
    return torch.stack(states, dim=1)


def unroll_stack(cells: Sequence[Cell], x_BTI: Tensor, h_LBH: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cells on top of each other: each reads the hidden states of the one below.

    Returns the top layer's states [B, T, H] and every layer's last state [L, B, H].
    """
    last = []
    for layer, cell in enumerate(cells):
        x_BTI = unroll(cell, x_BTI, None if h_LBH is None else h_LBH[layer])
        last.append(x_BTI[:, -1])
    return x_BTI, torch.stack(last)


@dataclass(frozen=True)
class Gradients:
    """What back-propagation through one layer gives. Both biases share `b_H`: they enter as a sum."""

    W_x_HI: Tensor
    W_h_HH: Tensor
    b_H: Tensor
    x_BTI: Tensor
    """∂L/∂x, which is g for the layer below."""


def backward(cell: Cell, x_BTI: Tensor, h_BTH: Tensor, g_BTH: Tensor) -> Gradients:
    """Back-propagation through time, by hand, for a layer that began at h_0 = 0.

    Args:
        x_BTI: the layer's inputs.
        h_BTH: its hidden states, as `unroll` returned them.
        g_BTH: ∂L/∂h_t through the layer's output alone, for each step.
    """
    W_x_HI, W_h_HH = torch.zeros_like(cell.W_x_HI), torch.zeros_like(cell.W_h_HH)
    b_H, grad_x_BTI = torch.zeros_like(cell.b_x_H), torch.zeros_like(x_BTI)
    from_later_BH = torch.zeros_like(g_BTH[:, 0])
    for t in reversed(range(x_BTI.shape[1])):
        delta_BH = (1 - h_BTH[:, t] ** 2) * (g_BTH[:, t] + from_later_BH)
        if t > 0:
            W_h_HH += delta_BH.T @ h_BTH[:, t - 1]
        W_x_HI += delta_BH.T @ x_BTI[:, t]
        b_H += delta_BH.sum(dim=0)
        grad_x_BTI[:, t] = delta_BH @ cell.W_x_HI
        from_later_BH = delta_BH @ cell.W_h_HH
    return Gradients(W_x_HI, W_h_HH, b_H, grad_x_BTI)
