"""The seven sequences that show what a model answers where it fits, and where it does not.

Shape suffix: T time.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from benchmarks.report import Table, number
from model.artifact import Artifact
from model.runtime.select import open_runtime
from training.answers import LEVEL, answers
from training.data import Floats
from training.families import families

GIVEN = 64


def seven() -> dict[str, Floats]:
    """Return the sequences [T] by name: `GIVEN` values and the next one. They are always the same."""
    wave_T = np.sin(0.5 + 0.33 * np.arange(GIVEN + 1))  # training never sees this period and this phase
    noise_T = math.sqrt(0.5) * 10 ** (-20 / 20) * np.random.default_rng(0).standard_normal(GIVEN + 1)
    others = {name: torch.cat(windows, dim=1)[-1].numpy() for name, windows in families(GIVEN, 1).items()}
    waves = {"sine": wave_T, "20 + 5 times the sine": 20 + 5 * wave_T, "sine at 20 dB": wave_T + noise_T}
    return waves | others


def sequence_table(artifact: Artifact) -> Table:
    """Tabulate the answers that clients of the service get for the next value."""
    runtime = open_runtime(artifact, "cpu", "fused").runtime
    rows = []
    for name, sequence_T in seven().items():
        [answer] = answers(artifact, runtime, torch.from_numpy(sequence_T[None, :GIVEN]), 1)
        interval = f"{digits(answer.lower_S[0])} to {digits(answer.upper_S[0])}"
        warning = "" if answer.fit.fits else "yes"
        shown = (digits(answer.values_S[0]), digits(sequence_T[-1]), interval)
        rows.append([name, number(answer.fit.ratio), warning, *shown])
    return Table(["", "ratio", "warning", "next value", "truth", f"interval of {LEVEL} %"], rows)


def digits(value: float) -> str:
    """Format a number with five significant digits: the intervals of clean sines are narrow."""
    return f"{value:,.5g}"
