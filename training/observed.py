"""The anchors over a batch of training series as machine code, without gradients: `model/anchors` defines them.

The values given have no gradient, so only the closed loop needs the anchors in PyTorch. Machine code takes a few
milliseconds for a batch. Numba infers the types, and mypy does not check this module.

Shape suffixes: B batch, T time, U time with the values before, V values before, A anchors, I inputs of the network, G
lags of the autoregression, K the anchors' state.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from model import anchors as equations
from model.anchors import ANCHORS, INPUTS, lags, steps_ahead
from model.anchors.state import start
from model.runtime import anchors
from model.runtime.anchors import Place, parts, take, turn
from model.runtime.kernel import compiled, digest_of

_SOURCE = digest_of(anchors, equations)
_SIGNATURE = "void(float64[:,::1], float64[:,::1], int64, int64, int64[::1], float64[:,:,::1], float64[:,:,::1])"


def observe(z_BT: Tensor, offset_B: Tensor, season: int) -> tuple[Tensor, Tensor, Tensor]:
    """Take the values of whole series.

    Args:
        z_BT: normalised values in double precision, at least one of each series.
        offset_B: the level divided by the scale of each series, as in `AnchoredNetwork.start`.
        season: the season of all series, 1 for none.

    Returns:
        The network's inputs [B, T, I] and the forecasts of the next value [B, T, A] after each value, and the states
        after the last value [B, K], in double precision: what `model.anchors.batched.observe` returns.
    """
    z_BT, state_BK = z_BT.detach().contiguous(), start(offset_B.double(), season)
    input_BTI = torch.empty(*z_BT.shape, INPUTS, dtype=torch.float64)
    forecast_BTA = torch.empty(*z_BT.shape, len(ANCHORS), dtype=torch.float64)
    _compiled()(
        z_BT.numpy(),
        state_BK.numpy(),
        season,
        steps_ahead(season),
        np.array(lags(season)),
        input_BTI.numpy(),
        forecast_BTA.numpy(),
    )
    return input_BTI, forecast_BTA, state_BK


@cache
def _compiled() -> Callable[..., None]:
    """Return the loop over a batch. It advances `state_BK` in place, and fills the last two arrays."""
    source = _SOURCE

    @compiled(_SIGNATURE)
    def run(z_BT, state_BK, season, ahead, lag_G, input_BTI, forecast_BTA):
        _ = source  # the variables that a function captures are part of its key in the cache
        series, length = z_BT.shape
        longest = lag_G[-1]
        value_U = np.empty(longest + length)
        for b in range(series):
            last_V, memory, counts = parts(state_BK[b], season, ahead, longest, len(lag_G) + 1)
            value_U[:longest] = z_BT[b, 0]
            value_U[longest:] = z_BT[b]
            lowest, offset, due, turned = z_BT[b, 0], counts[1], 0, 0
            for t in range(length):
                input_I = input_BTI[b, t]
                lowest = min(lowest, z_BT[b, t])
                place = Place(longest + t, t + 1, t + 1, True, due, turned)
                take(value_U, place, lowest, offset, lag_G, memory, input_I)
                forecast_BTA[b, t] = memory.forecast_A
                due, turned = (due + 1) % ahead, (turned + 1) % season
            last_V[:] = value_U[length:]
            turn(memory, due, turned)
            counts[0], counts[2] = lowest, length

    return run
