"""The answers that clients of the service get for sequences: the forecast, the fit, and the interval.

Shape suffixes: B sequences, T values given, S steps.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from model.artifact import Artifact
from model.fit import Fit, fit_of
from model.intervals import NoInterval
from model.runtime.base import Runtime
from training.data import Floats, Waves, Windows
from training.families import families
from training.forecasts import noisy
from training.tables import Table

COUNT = 500
STEPS = 24
NOISY_DB = 20.0
LEVEL = 95


class Answer(NamedTuple):
    """The answer for one sequence, in its own units."""

    values_S: Floats
    lower_S: Floats
    upper_S: Floats
    fit: Fit


def answers(artifact: Artifact, runtime: Runtime, x_BT: Tensor, steps: int, level: int = LEVEL) -> Iterator[Answer]:
    """Yield the answer of an artifact with fit and intervals for each sequence of `x_BT`.

    Raises:
        NoInterval: the artifact has no fit or no intervals, or none for so many values, these steps or this level.
    """
    about, intervals = artifact.metadata, artifact.intervals
    if about.fit is None or intervals is None:
        raise NoInterval("level", f"not for {about.name}, which has no fit or no intervals")
    context, expectations = x_BT.size(1), about.fit.expectations
    intervals.check(context, steps, [level])
    states = runtime.encode(x_BT.tolist())
    values_BS, _ = runtime.rollout(states, steps)
    for state, values_S in zip(states, values_BS.astype(np.float64), strict=True):
        fit = fit_of(expectations, state)
        if fit is None:
            raise NoInterval("sequence", f"{context} values are too few for a fit")
        lower_S, upper_S = intervals.around(values_S, fit, state, context, [level]).values()
        yield Answer(values_S, lower_S, upper_S, fit)


def by_family(artifact: Artifact, runtime: Runtime, waves: Waves, context: int) -> Table:
    """Tabulate how well the model knows what it does not know, on waves and on sequences that no sine continues.

    Raises:
        NoInterval: see `answers`.
    """
    unseen = waves.held_out(context, STEPS, COUNT)
    noise = noisy(unseen, np.full(len(unseen), NOISY_DB), np.random.default_rng(0))
    kinds: dict[str, Windows] = {"clean sine": unseen.all(), f"sine at {NOISY_DB:.0f} dB": noise}
    rows = {}
    for name, (x_BT, y_BS) in (kinds | families(context, STEPS)).items():
        rows[name] = _judged(list(answers(artifact, runtime, x_BT[:COUNT], STEPS)), y_BS[:COUNT])
    columns = ["median ratio", "warned, %", "next value inside, %", f"{STEPS} steps inside, %"]
    return Table(f"Fit and intervals of {LEVEL} % by kind of sequence, from {context} values", "kind", columns, rows)


def _judged(every: list[Answer], truth_BS: Tensor) -> list[float]:
    """Return the median ratio, and how many per cent have a warning and lie inside the intervals."""
    inside_BS = np.array(
        [
            (answer.lower_S <= truth_S) & (truth_S <= answer.upper_S)
            for answer, truth_S in zip(every, truth_BS.numpy(), strict=True)
        ]
    )
    ratio_B, fits_B = np.array([(answer.fit.ratio, answer.fit.fits) for answer in every]).T
    return [float(np.median(ratio_B)), *(100 * float(part.mean()) for part in (1 - fits_B, inside_BS[:, 0], inside_BS))]
