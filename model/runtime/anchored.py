"""The CPU runtime of anchored networks: anchors, network and mixture in one compiled loop.

`model/anchored.py` defines the same mathematics. The shape suffixes are those of `model/runtime/anchored_kernel.py`.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from model.anchors import INPUTS, first_later_error, lags, steps_ahead
from model.anchors.state import layout, start
from model.metadata import Architecture, Metadata
from model.runtime.anchored_kernel import COLUMNS, OUTPUTS, compile_anchored_kernel
from model.runtime.base import State
from model.runtime.fused import Float32, Float64, FusedRuntime, aligned_zeros, in_blocks, padded, ranges
from model.runtime.kernel import Shape
from model.runtime.loops import anchored_kernel_loop
from model.runtime.seasons import compile_seasons
from model.runtime.vectors import VECTOR


class AnchoredRuntime(FusedRuntime):
    """The compiled loop of an anchored network. A state also has the season and the state of the anchors."""

    def __init__(self, module: torch.nn.Module, metadata: Metadata) -> None:
        self._metadata = metadata
        self._weights = _laid_out(module, metadata.architecture)
        self._kernel = compile_anchored_kernel(metadata.architecture)
        self.cached = self._kernel.cached
        compile_seasons()  # now, and not within the first request
        memory_LM = np.zeros((metadata.architecture.layers, metadata.architecture.memory), np.float32)
        self._zero = State(memory_LM, 0.0, 0.0)

    def start(self, sequence: Sequence[float], season: int = 1) -> State:
        """See `Runtime.start`."""
        state, anchors_K = super().start(sequence), _before_any_value(season).copy()
        anchors_K[layout(season).offset] = state.level / state.scale if state.scale > 0 else 0.0
        return state._replace(season=season, anchors_K=anchors_K)

    def forecast_many(
        self, value_N: Float64, start_B1: npt.NDArray[np.int64], steps: int, season_B: npt.NDArray[np.int64]
    ) -> tuple[Float64, Float64]:
        """See `FusedRuntime.forecast_many`. The sequences of one season are one compiled call."""
        count = len(start_B1) - 1
        values_BS, known_B5 = np.empty((count, steps)), np.empty((count, 5))
        x_N, memory_LM = np.require(value_N, np.float64, ["C", "W"]), self._zero.memory_LM.copy()
        units = ranges(self._metadata, x_N, start_B1)
        for season in np.unique(season_B).tolist():
            anchors_K, offset = _before_any_value(season), layout(season).offset.start
            arrays = (
                x_N,
                start_B1,
                np.flatnonzero(season_B == season),
                values_BS,
                known_B5,
                *units,
                memory_LM,
                anchors_K,
            )
            of_season = season, steps_ahead(season), np.array(lags(season))
            places = offset, first_later_error(season)
            anchored_kernel_loop()(self._kernel.run, *arrays, *places, *of_season, *self._weights)
        return values_BS, known_B5

    def _before(self, sequence: Sequence[float], season: int = 1) -> State:
        """Return the state before a whole sequence. The anchors need its units, so Python finds them."""
        return self.start(sequence, season)

    def _run(self, before: State, sequence: Sequence[float] | Float64, values_S: Float64) -> State:
        """Encode `sequence`, and fill `values_S` by a rollout. Either may be empty. Return the state after both."""
        x_T, season = np.array(sequence, np.float64), before.season
        memory_LM, anchors_K, error_R = before.memory_LM.copy(), before.anchors_K.copy(), before.error_R.copy()
        of_season = season, steps_ahead(season), np.array(lags(season))
        level, scale, residual, noise = self._kernel.run(
            memory_LM, anchors_K, error_R, x_T, values_S, before.level, before.scale, *of_season, *self._weights
        )
        observed, rolled_out = before.observed + len(x_T), before.rolled_out or len(values_S) > 0
        return State(memory_LM, level, scale, observed, error_R, residual, noise, rolled_out, season, anchors_K)


@lru_cache(maxsize=64)
def _before_any_value(season: int) -> Float64:
    """Return the anchors' state before the first value, [K], for an offset of 0. Requests often share a season."""
    state_K: Float64 = start(torch.zeros(1, dtype=torch.float64), season)[0].numpy()
    return state_K


def _laid_out(module: torch.nn.Module, architecture: Architecture) -> tuple[Float32, ...]:
    """Return the module's weights in the kernel's layout, from `input_BIV` to `readout_O`."""
    hidden, layers, shape = architecture.hidden, architecture.layers, Shape.of(architecture)
    blocks, first = shape.rows // VECTOR, shape.sums - shape.rows
    weights = {name: value.numpy().astype(np.float64) for name, value in module.state_dict().items()}
    stored = range(shape.rows // shape.width)
    # The sums of a GRU begin with W_n x and end with W_n h (`activate_gru`). PyTorch stores r, z, n.
    of_input = (2, 0, 1) if architecture.cell == "gru" else stored
    input_BIV = aligned_zeros(blocks, COLUMNS, VECTOR)
    below_LBWV = aligned_zeros(layers, blocks, shape.width, VECTOR)
    recurrent_LBWV = aligned_zeros(layers, blocks, shape.width, VECTOR)
    bias_LN = aligned_zeros(layers, shape.sums)
    readout_OW, readout_O = aligned_zeros(OUTPUTS, shape.width), weights["readout.bias"].astype(np.float32)
    for layer in range(layers):
        W_x, W_h, b_x, b_h = (
            weights[f"rnn.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        columns_BIV = in_blocks(padded(W_x, of_input, shape.width))
        if layer == 0:
            input_BIV[:, :INPUTS] = columns_BIV
        else:
            below_LBWV[layer, :, :hidden] = columns_BIV
        recurrent_LBWV[layer, :, :hidden] = in_blocks(padded(W_h, stored, shape.width))
        bias_LN[layer, : shape.rows] += padded(b_x, of_input, shape.width)
        bias_LN[layer, first:] += padded(b_h, stored, shape.width)
    readout_OW[:, :hidden] = weights["readout.weight"]
    return input_BIV, below_LBWV, recurrent_LBWV, bias_LN, readout_OW, readout_O
