"""The part that all networks share: PyTorch's recurrent layers, a linear readout, and the units of a sequence.

Shape suffixes: B batch, T time, I inputs, N values of all rows, H hidden units, M memory (H, or 2H for an LSTM), L
layers.
"""

import torch
from torch import Tensor, nn

from model.metadata import Architecture, CellKind
from model.units import Normalisation

_MODULES: dict[CellKind, type[nn.RNN | nn.GRU | nn.LSTM]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentNetwork(nn.Module):
    """A stack of recurrent layers with a linear readout."""

    def __init__(
        self,
        architecture: Architecture,
        inputs: int,
        outputs: int,
        normalisation: Normalisation = "range",
        offset: float = 0.0,
        scale: float | None = None,
    ) -> None:
        """Build the layers with random weights. `model/units.py` describes the last three arguments."""
        super().__init__()
        self.normalisation: Normalisation = normalisation
        self.offset = offset
        self.fixed_scale = scale or 1.0
        self.cell: CellKind = architecture.cell
        self.layers = architecture.layers
        self.hidden = architecture.hidden
        self.memory = architecture.memory
        self.rnn = _MODULES[self.cell](inputs, self.hidden, self.layers, batch_first=True)
        self.readout = nn.Linear(self.hidden, outputs)

    def weights(self, first: int, layers: int = 1) -> list[Tensor]:
        """Return W_x, W_h, b_x, b_h of `layers` layers, from layer `first` upwards; each has the rows of all gates."""
        # TorchScript cannot access an attribute by a computed name, such as `rnn.weight_ih_l0`.
        return self.rnn._flat_weights[4 * first : 4 * (first + layers)]  # type: ignore[return-value]

    def run(self, x_BTI: Tensor, state_LBM: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Run PyTorch's own loop. Return the top layer's hidden states [B, T, H] and the state [L, B, M] after the last
        step.

        The last arguments of the calls are: has biases, layers, dropout, training, bidirectional, batch first.
        """
        layers, training = state_LBM.size(0), self.training  # cuDNN keeps the values for gradients only in training
        if self.cell == "lstm":
            start = [part_LBH.contiguous() for part_LBH in state_LBM.chunk(2, dim=2)]
            h_BTH, h_LBH, c_LBH = torch.lstm(x_BTI, start, weights, True, layers, 0.0, training, False, True)
            return h_BTH, torch.cat([h_LBH, c_LBH], dim=2)
        if self.cell == "gru":
            return torch.gru(x_BTI, state_LBM, weights, True, layers, 0.0, training, False, True)
        return torch.rnn_tanh(x_BTI, state_LBM, weights, True, layers, 0.0, training, False, True)

    def run_packed(self, x_N1: Tensor, rows_T: Tensor, state_LBM: Tensor) -> tuple[Tensor, Tensor]:
        """Return the top layer's hidden states [N, H] and the state [L, B, M] after the last value of each row. It is
        `run` for rows of different lengths.

        Args:
            x_N1: the inputs of all rows [N, I], one time after the other. Every artifact contains this name.
            rows_T: the number of rows that still have a value at each time; the longest rows come first.
            state_LBM: the state before the first value.
        """
        layers, training, weights = self.layers, self.training, self.weights(0, self.layers)
        if self.cell == "lstm":
            start = [part_LBH.contiguous() for part_LBH in state_LBM.chunk(2, dim=2)]
            h_NH, h_LBH, c_LBH = torch.lstm(x_N1, rows_T, start, weights, True, layers, 0.0, training, False)
            return h_NH, torch.cat([h_LBH, c_LBH], dim=2)
        if self.cell == "gru":
            return torch.gru(x_N1, rows_T, state_LBM, weights, True, layers, 0.0, training, False)
        return torch.rnn_tanh(x_N1, rows_T, state_LBM, weights, True, layers, 0.0, training, False)

    def step(self, x_BI: Tensor, state_BM: Tensor, weights: list[Tensor]) -> Tensor:
        """Return the next state [B, M] of one layer. It is `run` for one time step, without the cost of starting a
        loop.
        """
        W_x, W_h, b_x, b_h = weights
        if self.cell == "lstm":
            h_BH, c_BH = state_BM.chunk(2, dim=1)
            h_BH, c_BH = torch.lstm_cell(x_BI, [h_BH, c_BH], W_x, W_h, b_x, b_h)
            return torch.cat([h_BH, c_BH], dim=1)
        if self.cell == "gru":
            return torch.gru_cell(x_BI, state_BM, W_x, W_h, b_x, b_h)
        return torch.rnn_tanh_cell(x_BI, state_BM, W_x, W_h, b_x, b_h)

    @torch.jit.export
    def units(self, x_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return the level and the scale [B] of sequences of equal length, as `units_between` does."""
        if self.normalisation == "range":
            low_B = x_BT.amin(dim=1)
            half_B = (x_BT.amax(dim=1) - low_B) / 2
            return low_B + half_B, half_B
        if self.normalisation == "max_abs":
            return torch.zeros_like(x_BT[:, 0]), x_BT.abs().amax(dim=1)
        return torch.full_like(x_BT[:, 0], self.offset), torch.full_like(x_BT[:, 0], self.fixed_scale)

    @torch.jit.export
    def normalise(self, x_BT: Tensor, level_B: Tensor, scale_B: Tensor) -> Tensor:
        """Convert `x_BT` to the network's units, in single precision. A sequence of scale zero becomes zero.

        The division is done in the precision of `x_BT`. Pass float64, so that no magnitude is lost before the division.
        """
        return torch.where(scale_B > 0, (x_BT.T - level_B) / scale_B, 0.0).T.to(self.readout.weight.dtype)
