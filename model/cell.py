"""The recurrent cells, written from their equations. All other implementations are tested against this one.

The tanh cell, with its output layer:

    h_t = tanh(W_x x_t + b_x + W_h h_(t-1) + b_h)          h_0 = 0
    y_t = f(W_y h_t + b_y)

f is the identity for regression and softmax for classification. Mathematically one bias would do, because only the
sum of the two matters. cuDNN and `torch.nn` store two, so a cell accepts one or two.

The GRU and the LSTM have gates. Each gate is itself such a cell, with the logistic function s(x) = 1 / (1 + e^-x) in
place of tanh. Each gate has its own rows of W_x, W_h and the biases. They are stacked in the order below, which is
PyTorch's order.

The GRU (Cho et al. 2014, arXiv:1406.1078) interpolates between its old state and a candidate n:

    r = s(W_xr x + b_xr + W_hr h + b_hr)                   reset
    z = s(W_xz x + b_xz + W_hz h + b_hz)                   update
    n = tanh(W_xn x + b_xn + r ⊙ (W_hn h + b_hn))          candidate
    h' = (1 - z) ⊙ n + z ⊙ h

The paper applies the reset gate to h before the product with W_hn. cuDNN, PyTorch and this module apply it to the
product. The GRU is the only cell whose two biases do not enter as a sum.

The LSTM (Hochreiter and Schmidhuber, *Neural Computation* 9(8), 1997; the forget gate: Gers, Schmidhuber and Cummins,
*Neural Computation* 12(10), 2000) accumulates in a cell state c, which no nonlinearity squashes from step to step:

    i = s(W_xi x + W_hi h + b_i)                           input; b is the sum of both biases
    f = s(W_xf x + W_hf h + b_f)                           forget
    g = tanh(W_xg x + W_hg h + b_g)                        candidate
    o = s(W_xo x + W_ho h + b_o)                           output
    c' = f ⊙ c + i ⊙ g         h' = o ⊙ tanh c'

**The state** of a layer is one tensor, [B, M]: the hidden state h first and, for the LSTM, its cell state c behind it.
So `state[..., :H]` is h for every cell, and code that only stores a state need not know which cell it belongs to.

Back-propagation through time, here for the tanh cell, goes from the last step to the first. Let g_t = ∂L/∂h_t be the
gradient through the output at step t alone:

    ∂L/∂h_t = g_t + W_hᵀ δ_(t+1)                           δ_(T+1) = 0
    δ_t     = (1 - h_t²) ⊙ ∂L/∂h_t                         the derivative of tanh, from its own output
    ∂L/∂W_h = Σ_t δ_t h_(t-1)ᵀ    ∂L/∂W_x = Σ_t δ_t x_tᵀ    ∂L/∂b = Σ_t δ_t

Reference: Goodfellow, Bengio, Courville, *Deep Learning* (MIT Press, 2016), section 10.2: the equations 10.8 to 10.11
and, for the gradients, 10.18 to 10.28.

Shape suffixes: B batch, T time, I inputs, H hidden units, G rows of all gates (H, 3H or 4H), M memory (H or 2H),
O outputs, L layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from model.metadata import CellKind


@dataclass(frozen=True)
class Cell:
    """The weights of one recurrent layer of tanh cells. `GRU` and `LSTM` are the subclasses with gates."""

    W_x_GI: Tensor
    W_h_GH: Tensor
    b_x_G: Tensor
    b_h_G: Tensor | None = None
    """The second bias is None where the layer has only one bias."""

    @property
    def hidden(self) -> int:
        """Return the number of hidden units, H."""
        return self.W_h_GH.shape[1]

    @property
    def memory(self) -> int:
        """Return how many numbers the state of one sequence has, M."""
        return self.hidden

    def step(self, x_BI: Tensor, state_BM: Tensor) -> Tensor:
        """Return the next state, [B, M]."""
        return torch.tanh(self._from_input(x_BI) + self._from_hidden(state_BM))

    def _from_input(self, x_BI: Tensor) -> Tensor:
        return x_BI @ self.W_x_GI.T + self.b_x_G

    def _from_hidden(self, h_BH: Tensor) -> Tensor:
        z_BG = h_BH @ self.W_h_GH.T
        return z_BG if self.b_h_G is None else z_BG + self.b_h_G


@dataclass(frozen=True)
class GRU(Cell):
    """A layer of gated recurrent units; its gates are r, z and n."""

    def step(self, x_BI: Tensor, state_BM: Tensor) -> Tensor:
        """See `Cell.step`."""
        x_r_BH, x_z_BH, x_n_BH = self._from_input(x_BI).chunk(3, dim=-1)
        h_r_BH, h_z_BH, h_n_BH = self._from_hidden(state_BM).chunk(3, dim=-1)
        r_BH, z_BH = torch.sigmoid(x_r_BH + h_r_BH), torch.sigmoid(x_z_BH + h_z_BH)
        n_BH = torch.tanh(x_n_BH + r_BH * h_n_BH)
        return (1 - z_BH) * n_BH + z_BH * state_BM


@dataclass(frozen=True)
class LSTM(Cell):
    """A layer of long short-term memory; its gates are i, f, g and o."""

    @property
    def memory(self) -> int:
        """Return how many numbers the state of one sequence has, M = 2H: h and c."""
        return 2 * self.hidden

    def step(self, x_BI: Tensor, state_BM: Tensor) -> Tensor:
        """See `Cell.step`."""
        h_BH, c_BH = state_BM.chunk(2, dim=-1)
        i_BH, f_BH, g_BH, o_BH = (self._from_input(x_BI) + self._from_hidden(h_BH)).chunk(4, dim=-1)
        c_BH = torch.sigmoid(f_BH) * c_BH + torch.sigmoid(i_BH) * torch.tanh(g_BH)
        return torch.cat([torch.sigmoid(o_BH) * torch.tanh(c_BH), c_BH], dim=-1)


CELLS: dict[CellKind, type[Cell]] = {"rnn": Cell, "gru": GRU, "lstm": LSTM}


@dataclass(frozen=True)
class Readout:
    """The output layer computes y = f(W_y h + b_y)."""

    W_y_OH: Tensor
    b_y_O: Tensor
    f: Literal["identity", "softmax"] = "identity"

    def __call__(self, h_BTH: Tensor) -> Tensor:
        """Return outputs of shape [..., O] for hidden states of shape [..., H]."""
        z_BTO = h_BTH @ self.W_y_OH.T + self.b_y_O
        return torch.softmax(z_BTO, dim=-1) if self.f == "softmax" else z_BTO


def unroll(cell: Cell, x_BTI: Tensor, state_BM: Tensor | None = None) -> Tensor:
    """Return the states [B, T, M] after each input, starting from `state_BM`, or from zero if it is None."""
    if state_BM is None:
        state_BM = x_BTI.new_zeros(x_BTI.shape[0], cell.memory)
    states = []
    for x_BI in x_BTI.unbind(dim=1):
        state_BM = cell.step(x_BI, state_BM)
        states.append(state_BM)
    return torch.stack(states, dim=1)


def unroll_stack(cells: Sequence[Cell], x_BTI: Tensor, state_LBM: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Run a stack of layers: each layer reads the hidden states of the layer below.

    Returns the top layer's hidden states [B, T, H] and every layer's last state [L, B, M].
    """
    last = []
    for layer, cell in enumerate(cells):
        states_BTM = unroll(cell, x_BTI, None if state_LBM is None else state_LBM[layer])
        x_BTI = states_BTM[..., : cell.hidden]
        last.append(states_BTM[:, -1])
    return x_BTI, torch.stack(last)


@dataclass(frozen=True)
class Gradients:
    """The gradients of one layer of tanh cells. Both biases have the gradient `b_H`, because they enter as a sum."""

    W_x_HI: Tensor
    W_h_HH: Tensor
    b_H: Tensor
    x_BTI: Tensor
    """The gradient ∂L/∂x is g for the layer below."""


def backward(cell: Cell, x_BTI: Tensor, h_BTH: Tensor, g_BTH: Tensor) -> Gradients:
    """Compute the gradients of a layer of tanh cells by back-propagation through time. The layer began at h_0 = 0.

    Args:
        cell: the layer.
        x_BTI: the layer's inputs.
        h_BTH: its hidden states, as `unroll` returned them.
        g_BTH: ∂L/∂h_t through the layer's output alone, for each step.
    """
    W_x_HI, W_h_HH = torch.zeros_like(cell.W_x_GI), torch.zeros_like(cell.W_h_GH)
    b_H, grad_x_BTI = torch.zeros_like(cell.b_x_G), torch.zeros_like(x_BTI)
    from_later_BH = torch.zeros_like(g_BTH[:, 0])
    for t in reversed(range(x_BTI.shape[1])):
        delta_BH = (1 - h_BTH[:, t] ** 2) * (g_BTH[:, t] + from_later_BH)
        if t > 0:
            W_h_HH += delta_BH.T @ h_BTH[:, t - 1]
        W_x_HI += delta_BH.T @ x_BTI[:, t]
        b_H += delta_BH.sum(dim=0)
        grad_x_BTI[:, t] = delta_BH @ cell.W_x_GI
        from_later_BH = delta_BH @ cell.W_h_GH
    return Gradients(W_x_HI, W_h_HH, b_H, grad_x_BTI)
