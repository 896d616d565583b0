"""Prediction intervals, calibrated on the errors of rollouts on windows that training never saw.

The method is split conformal prediction, applied to each step of a rollout separately. Let e be the errors of n
calibration rollouts at a step, as fractions of the scale. The interval of level l around a forecast ŷ is

    ŷ ± scale · e_(k)        k = ⌈(n + 1) l / 100⌉,  e_(k) the k-th smallest |e|

It contains the truth with a probability of at least l per cent, and at most 1/(n + 1) more. This holds if a new
sequence is exchangeable with the calibration windows. It assumes nothing about the network. (Vovk, Gammerman and
Shafer, *Algorithmic Learning in a Random World*, 2005; Lei et al., JASA 113, 2018.)

A short sequence determines its continuation less well, so several context lengths are calibrated separately. A
sequence uses the longest calibrated length that does not exceed its own.

Shape suffixes: C lengths of context, V = LEVELS levels, S steps, B rollouts.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVELS = 99
"""Levels are whole numbers of per cent, from 1 to this."""

Float64 = npt.NDArray[np.float64]


class NoInterval(ValueError):
    """The requested interval does not exist.

    `field` names the field of the request that would have to change; the message says how.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Intervals:
    """The radii of the intervals, in units of the scale."""

    contexts: tuple[int, ...]
    """These lengths of context, in values and ascending, were calibrated."""

    radius_CVS: npt.NDArray[np.float32]
    """A radius is infinite where there were too few rollouts for its level."""

    @property
    def horizon(self) -> int:
        """Return the number of steps that have intervals."""
        return int(self.radius_CVS.shape[2])

    def check(self, context: int, steps: int, levels: Sequence[int]) -> None:
        """Raise NoInterval unless `around` has intervals for this context, these steps and these levels."""
        if context < self.contexts[0]:
            raise NoInterval(
                "sequence", f"with level, at least {self.contexts[0]} values: shorter ones were not calibrated"
            )
        if steps > self.horizon:
            raise NoInterval("steps", f"with level, at most {self.horizon}: intervals were calibrated that far")
        highest = int(np.isfinite(self.radius_CVS[0, :, 0]).sum())
        if max(levels) > highest:
            raise NoInterval("level", f"at most {highest}: a higher one needs more rollouts than were calibrated on")

    def around(
        self, values_S: Float64, scale: float, context: int, levels: Sequence[int], first: int = 0
    ) -> dict[str, Float64]:
        """Return the bounds of the intervals around a forecast, from lowest to highest: `lo-95`, `lo-80`, `hi-80`, …

        Args:
            values_S: the forecast, in the caller's units.
            scale: the number that its sequence was divided by.
            context: the number of values that were given.
            levels: whole numbers of per cent that `check` accepts.
            first: the step of the rollout at which the forecast begins, from 0.
        """
        calibration = max(number for number, length in enumerate(self.contexts) if length <= context)
        radius_VS = scale * self.radius_CVS[calibration, :, first : first + len(values_S)].astype(np.float64)
        rising = sorted(set(levels))
        below = {f"lo-{level}": values_S - radius_VS[level - 1] for level in reversed(rising)}
        return below | {f"hi-{level}": values_S + radius_VS[level - 1] for level in rising}

    def to_bytes(self) -> bytes:
        """Return the radii as an .npy file. The contexts are in the metadata."""
        file = io.BytesIO()
        np.save(file, self.radius_CVS, allow_pickle=False)
        return file.getvalue()

    @staticmethod
    def from_bytes(content: bytes, contexts: Sequence[int]) -> "Intervals":
        """Read the file that `to_bytes` wrote. Raise ValueError if it is something else."""
        radius_CVS = np.load(io.BytesIO(content), allow_pickle=False)
        if radius_CVS.dtype != np.float32 or radius_CVS.shape[:2] != (len(contexts), LEVELS):
            raise ValueError(f"radii are {radius_CVS.dtype} {radius_CVS.shape}")
        return Intervals(tuple(contexts), radius_CVS)


def conformal_radius(error_BS: Float64) -> npt.NDArray[np.float32]:
    """Return the radius [V, S] of each level at each step, from the errors of rollouts in any unit.

    Radii are rounded up to single precision, so that rounding never lowers the coverage.
    """
    rollouts = len(error_BS)
    rising_BS = np.sort(np.abs(error_BS), axis=0)
    ranks = [math.ceil((rollouts + 1) * level / 100) for level in range(1, LEVELS + 1)]
    unbounded_S = np.full(error_BS.shape[1], np.inf)
    radius_VS = np.stack([rising_BS[rank - 1] if rank <= rollouts else unbounded_S for rank in ranks])
    return np.nextafter(radius_VS.astype(np.float32), np.float32(np.inf))
