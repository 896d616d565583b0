"""The article's own measures: errors on its one curve, at phases that training never saw.

Shape suffixes: B batch, T time, S steps.
"""

import math

import numpy as np
import torch
from torch import Tensor

from training.baselines import Predictor
from training.data import cut

STEPS = (1, 1_000, 10_000)
CHUNK = 60  # rollouts computed at once; this bounds the memory that 10,000 steps of each take
ARTICLE_TRUE, ARTICLE_PREDICTED = 0.0510, 0.0523


@torch.inference_mode()
def largest_errors(predictor: Predictor, period: float, context: int) -> dict[str, float]:
    """Return the largest errors of the next value and of rollouts over held-out phases, as fractions of the amplitude.

    The phases are spread evenly over the held-out ranges, and no error is averaged.
    """
    largest_S = torch.zeros(max(STEPS), dtype=torch.float64)
    for phase_B in torch.split(_held_out_phases(120), CHUNK):
        series_BT = _curve(phase_B, period, context + max(STEPS))
        error_BS = predictor(series_BT[:, :context], max(STEPS)) - series_BT[:, context:]
        largest_S = torch.maximum(largest_S, error_BS.abs().amax(dim=0))
    return {
        f"rollout_{steps}_max" if steps > 1 else "next_value_max": float(largest_S[:steps].max()) for steps in STEPS
    }


@torch.inference_mode()
def next_value_line(predictor: Predictor, period: float, context: int) -> str:
    """Compare a prediction with the truth, in words, for an unseen window.

    The window is the one whose next value is nearest to the value that the article shows.
    """
    series_BT = _curve(_held_out_phases(1024), period, context + 1)
    chosen = int((series_BT[:, -1] - ARTICLE_TRUE).abs().argmin())
    predicted = float(predictor(series_BT[chosen : chosen + 1, :context], 1))
    return (
        f"predicted {predicted:.4f} for {float(series_BT[chosen, -1]):.4f} after an unseen window "
        f"(the article: {ARTICLE_PREDICTED:.4f} for {ARTICLE_TRUE:.4f})"
    )


def _held_out_phases(count: int) -> Tensor:
    return torch.from_numpy(math.tau * cut((np.arange(count) + 0.5) / count, "held_out"))


def _curve(phase_B: Tensor, period: float, length: int) -> Tensor:
    return torch.sin(phase_B.unsqueeze(1) + math.tau * torch.arange(length, dtype=torch.float64) / period)
