"""Measurements of a model of sine waves: its errors on held-out waves, its coverage, and the cost of a step."""

from __future__ import annotations

import math

import torch

from benchmarks.timing import in_turns
from model.artifact import Artifact
from model.runtime.base import Runtime
from training.baselines import one_sine
from training.breakdown import errors_from_noise
from training.calibration import SHOWN_DB
from training.data import Waves
from training.evaluate import served
from training.measures import errors_of, rmse

STEPS = 4096
COUNT = 4096
SNR_DB = (40, 30, 20)
STEPS_SHOWN = {1: "next value", 100: "100 steps"}
WHOLE = 64
LONGEST = (48, 64)
"""Errors are given for waves with periods up to these."""


def wave_errors(runtime: Runtime, waves: Waves, context: int) -> dict[str, float]:
    """Return the RMSE of rollouts on clean waves, and the RMSE on noisy ones divided by that of the best sine.

    The waves are held-out ones of the whole family, chosen by their period. A family of fewer periods would have
    other held-out parts, which the training has seen.
    """
    model = served(runtime)
    values: dict[str, float] = {}
    clean = waves.held_out(context, 1000, COUNT)
    clean_BS = errors_of(model, clean)
    for longest in LONGEST:
        chosen_B = torch.from_numpy(clean.period_B <= longest)
        values |= {f"rmse_{steps}_to_{longest}": rmse(clean_BS[chosen_B, :steps]) for steps in (1, 100, 1000)}
    for steps in STEPS_SHOWN:
        noisy = waves.held_out(context, steps, COUNT)
        for snr in SNR_DB:
            model_BS, best_BS = (errors_from_noise(predict, noisy, snr) for predict in (model, one_sine))
            for longest in LONGEST:
                chosen_B = torch.from_numpy(noisy.period_B <= longest)
                values[f"noise_{snr}_{steps}_to_{longest}"] = rmse(model_BS[chosen_B]) / rmse(best_BS[chosen_B])
    return values | {"rmse_100_from_16": context_errors(runtime, waves, 16)[0]}


def context_errors(runtime: Runtime, waves: Waves, context: int) -> list[float]:
    """Return the RMSE over 100 steps from so many values, for periods up to 12 and up to each of `LONGEST`."""
    unseen = waves.held_out(context, 100, COUNT)
    error_BS = errors_of(served(runtime), unseen)
    return [rmse(error_BS[torch.from_numpy(unseen.period_B <= longest)]) for longest in (12, *LONGEST)]


def coverage_errors(artifact: Artifact) -> dict[str, float]:
    """Return how far the coverage of waves is from its level at worst, and how much of other sequences is outside.

    All are in per cent, on average over all steps, from the metadata. A model without intervals has none. A sequence
    of fewer than `WHOLE` values may be less than a period.
    """
    about = artifact.metadata.intervals
    if about is None:
        return {}
    off = [(row.context, abs(row.mean - row.level)) for row in about.coverage if row.of in SHOWN_DB]
    others = [row for row in about.coverage if row.of not in SHOWN_DB and row.level == 95]
    return {
        "coverage_off": max((points for context, points in off if context >= WHOLE), default=math.nan),
        "coverage_off_short": max((points for context, points in off if context < WHOLE), default=math.nan),
        "families_outside": max((100 - row.mean for row in others), default=math.nan),
    }


def step_us(runtime: Runtime) -> float:
    """Return the microseconds of one step of a rollout."""
    [start] = runtime.encode([[math.sin(0.2 * t) for t in range(64)]])
    return in_turns({"rollout": lambda: runtime.rollout([start], STEPS)})["rollout"].least / STEPS * 1e6
