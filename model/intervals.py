"""Prediction intervals, calibrated on the errors of rollouts on windows that training never saw.

The method is split conformal prediction, applied to each step of a rollout separately. Let e be the errors of n
calibration rollouts at a step, as fractions of the spread s of their sequences. The interval of level l around a
forecast ŷ is

    ŷ ± s · e_(k)        k = ⌈(n + 1) l / 100⌉,  e_(k) the k-th smallest |e|

It contains the truth with a probability of at least l per cent, and at most 1/(n + 1) more. This holds if a new
sequence is exchangeable with the calibration windows. It assumes nothing about the network. (Vovk, Gammerman and
Shafer, *Algorithmic Learning in a Random World*, 2005; Lei et al., JASA 113, 2018, section 5.2 for the spread.)

The spread comes from the fit of the sequence (`model/fit.py`):

    s = residual · min(4, max(1, ratio))²

So an interval is as wide as the model's errors on this very sequence ask for, and wider still where these errors are no
noise. The square was chosen on sequences that no sine model can continue: without it, the intervals of 95 % contain a
random walk in 30 % of the cases, with it in 80 %. It changes nothing where the model fits. Beyond a ratio of 4, errors
do not grow with it any further.

Errors grow along a rollout in one way for clean sequences and in another for noisy ones. Sequences are therefore
calibrated in bins of their noise, and the sequences of such a bin in bins of their residual. All bins have equally many
windows.

An anchored network knows how its errors grow on this very sequence: the anchors remember the errors of their forecasts
half a season ahead. So its spread is the residual alone, and the growth takes the place of the noise:

    growth = m' / residual        m' the least of the anchors' later errors (`model/anchors`)

On 27 real series, this lowered the quantile loss by 4 %, and on 76 others by 2 %.

A short sequence determines its continuation less well, so several context lengths are calibrated separately. A sequence
of a length between two of them gets the wider interval of both. Only some of the steps are stored; a step between two
of them has the radius between theirs.

Artifacts before version 0.3.0 have no fit. Their spread is the scale of the sequence, and they have a single bin.

Shape suffixes: C lengths of context, N bins of noise or growth, R bins of the residual in each of them, V = LEVELS
levels, K stored steps, S steps, B rollouts.
"""

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from model.fit import Fit, FitsOfMany, Observed
from model.metadata import Calibration
from sine_client.limits import LEVELS as LEVELS

LARGEST_RATIO = 4.0
"""A larger ratio widens an interval no more."""

Float64 = npt.NDArray[np.float64]


class NoInterval(ValueError):
    """The requested interval does not exist.

    `field` names the field of the request that would have to change; the message says how.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class ObservedMany(Protocol):
    """The knowledge of states of the sequences before them, [B] each, as `Observed` has it of one."""

    @property
    def scale_B(self) -> Float64: ...
    @property
    def residual_B(self) -> Float64: ...
    @property
    def noise_B(self) -> Float64: ...
    @property
    def later_B(self) -> Float64: ...


@dataclass(frozen=True)
class Intervals:
    """The radii of the intervals, in units of the spread."""

    contexts: tuple[int, ...]
    """These lengths of context, in values and ascending, were calibrated."""

    steps: tuple[int, ...]
    """The stored steps, from 1, ascending."""

    by_growth: bool
    """True if the bins are those of growth, False if they are those of noise."""

    outer_edges: list[list[float]]
    """The noise or the growth between two bins, ascending, for each length of context."""

    residual_edges: list[list[list[float]]]
    """The residual between two bins, ascending, for each bin of noise or growth."""

    radius_CNRVK: npt.NDArray[np.float32]
    """A radius is infinite where there were too few rollouts for its level."""

    @property
    def horizon(self) -> int:
        """Return the number of steps that have intervals."""
        return self.steps[-1]

    @cached_property
    def highest(self) -> int:
        """Return the highest level whose radii are finite in all bins of all lengths of context, 0 for none."""
        return int(np.isfinite(self.radius_CNRVK[..., 0]).all(axis=(0, 1, 2)).sum())

    def check(self, context: int, steps: int, levels: Sequence[int]) -> None:
        """Raise NoInterval unless `around` has intervals for this context, these steps and these levels."""
        if context < self.contexts[0]:
            raise NoInterval(
                "sequence", f"with level, at least {self.contexts[0]} values: shorter ones were not calibrated"
            )
        if steps > self.horizon:
            raise NoInterval("steps", f"with level, at most {self.horizon}: intervals were calibrated that far")
        if max(levels) > self.highest:
            raise NoInterval(
                "level", f"at most {self.highest}: a higher one needs more rollouts than were calibrated on"
            )

    def around(
        self,
        values_S: Float64,
        fit: Fit | None,
        state: Observed,
        context: int,
        levels: Sequence[int],
        first: int = 0,
    ) -> dict[str, Float64]:
        """Return the bounds of the intervals around a forecast, from lowest to highest: `lo-95`, `lo-80`, `hi-80`, …

        Args:
            values_S: the forecast, in the caller's units.
            fit: the fit of its sequence.
            state: the state of its sequence.
            context: the number of values that were given.
            levels: whole numbers of per cent that `check` accepts.
            first: the step of the rollout at which the forecast begins, from 0.
        """
        spread = spread_of(fit, state.scale, self.by_growth)
        outer = growth_of(state.later, state.residual) if self.by_growth else state.noise
        bins = [(number, *self._bin(number, state.residual, outer)) for number in self._calibrated(context)]
        radius_VK = np.max([self.radius_CNRVK[each] for each in bins], axis=0)
        step_S, rising = np.arange(first + 1, first + 1 + len(values_S)), sorted(set(levels))
        radius = {level: spread * np.interp(step_S, self.steps, radius_VK[level - 1]) for level in rising}
        below = {f"lo-{level}": values_S - radius[level] for level in reversed(rising)}
        return below | {f"hi-{level}": values_S + radius[level] for level in rising}

    def around_many(
        self,
        values_BS: Float64,
        fits: FitsOfMany,
        known: ObservedMany,
        context_B: npt.NDArray[np.int64],
        levels: Sequence[int],
    ) -> dict[str, Float64]:
        """Return the bounds [B, S] around many forecasts, each as `around` has them for one forecast to the last bit.

        Sequences of the same bins have the same radii, so there are few to compute.
        """
        step_S, rising = np.arange(1, values_BS.shape[1] + 1), sorted(set(levels))
        spread_B = spreads_of(fits, known.scale_B, self.by_growth)
        outer_B = growths_of(known.later_B, known.residual_B) if self.by_growth else known.noise_B
        radius_VBS = np.empty((len(rising), *values_BS.shape))
        for context in np.unique(context_B).tolist():
            row_R = np.flatnonzero(context_B == context)
            calibrated = self._calibrated(context)
            bins_CR2 = np.stack([self._bins(number, known.residual_B[row_R], outer_B[row_R]) for number in calibrated])
            code_R = np.zeros(len(row_R), np.int64)  # one number for the bins, because numbers are fast to sort
            for bin_R in bins_CR2.transpose(0, 2, 1).reshape(-1, len(row_R)):
                code_R = code_R * (bin_R.max() + 1) + bin_R
            _, one_D, which_R = np.unique(code_R, return_index=True, return_inverse=True)
            radius_VDS = np.empty((len(rising), len(one_D), len(step_S)))
            for d, bins in enumerate(bins_CR2[:, one_D].swapaxes(0, 1).tolist()):
                each = [self.radius_CNRVK[number, *place] for number, place in zip(calibrated, bins, strict=True)]
                radius_VK = np.max(each, axis=0)
                radius_VDS[:, d] = [np.interp(step_S, self.steps, radius_VK[level - 1]) for level in rising]
            radius_VBS[:, row_R] = spread_B[row_R, None] * radius_VDS[:, which_R]
        below = {f"lo-{level}": values_BS - radius_VBS[v] for v, level in reversed(list(enumerate(rising)))}
        return below | {f"hi-{level}": values_BS + radius_VBS[v] for v, level in enumerate(rising)}

    def _calibrated(self, context: int) -> tuple[int, ...]:
        """Return the numbers of the calibrated lengths whose intervals hold for a length of context."""
        longest = bisect_right(self.contexts, context) - 1
        between = self.contexts[longest] < context and longest + 1 < len(self.contexts)
        return (longest, longest + 1) if between else (longest,)

    def _bin(self, number: int, residual: float, outer: float) -> tuple[int, int]:
        """Return the bins for a length of context. `outer` is the noise or the growth."""
        row = bisect_right(self.outer_edges[number], outer)
        return row, bisect_right(self.residual_edges[number][row], residual)

    def _bins(self, number: int, residual_B: Float64, outer_B: Float64) -> npt.NDArray[np.int64]:
        """Return the bins of many sequences for a length of context, [B, 2]."""
        row_B = np.searchsorted(self.outer_edges[number], outer_B, side="right")
        column_B = np.zeros_like(row_B)
        for row in np.unique(row_B).tolist():
            chosen_B = row_B == row
            column_B[chosen_B] = np.searchsorted(self.residual_edges[number][row], residual_B[chosen_B], side="right")
        return np.stack([row_B, column_B], axis=1)

    def to_bytes(self) -> bytes:
        """Return the radii as an .npy file. Everything else is in the metadata."""
        file = io.BytesIO()
        np.save(file, self.radius_CNRVK, allow_pickle=False)
        return file.getvalue()

    @staticmethod
    def from_bytes(content: bytes, about: Calibration) -> "Intervals":
        """Read the file that `to_bytes` wrote. Raise ValueError if it is not the one that the metadata describe."""
        radii = np.load(io.BytesIO(content), allow_pickle=False)
        return Intervals.of(about, radii[:, None, None] if radii.ndim == 3 else radii)  # older artifacts have no bins

    @staticmethod
    def of(about: Calibration, radius_CNRVK: npt.NDArray[np.float32]) -> "Intervals":
        """Return the intervals with these radii. Raise ValueError if they are not those that the metadata describe."""
        steps = about.steps or range(1, about.horizon + 1)
        by_growth = about.growth_edges is not None
        outer = about.growth_edges or about.noise_edges or [[] for _ in about.contexts]
        residual = about.residual_edges or [[[]] for _ in about.contexts]
        (contexts, outers), (_, _, residuals) = np.shape(outer), np.shape(residual)
        shape = contexts, outers + 1, residuals + 1, LEVELS, len(steps)
        shapes = (np.shape(residual), len(about.contexts), radius_CNRVK.shape)
        if radius_CNRVK.dtype != np.float32 or shapes != ((contexts, outers + 1, residuals), contexts, shape):
            raise ValueError(f"radii are {radius_CNRVK.dtype} {radius_CNRVK.shape}")
        return Intervals(tuple(about.contexts), tuple(steps), by_growth, outer, residual, radius_CNRVK)


def spread_of(fit: Fit | None, scale: float, by_growth: bool = False) -> float:
    """Return the spread of a sequence: that of its fit, or else its scale."""
    if fit is None:
        return scale
    if by_growth:
        return fit.residual
    ratio = min(LARGEST_RATIO, max(1.0, fit.ratio))
    return fit.residual * (ratio * ratio)


def spreads_of(fits: FitsOfMany, scale_B: Float64, by_growth: bool = False) -> Float64:
    """Return the spread of each of many sequences [B], as `spread_of` does."""
    ratio_B = np.ones(len(scale_B)) if by_growth else np.clip(fits.ratio_B, 1.0, LARGEST_RATIO)
    spread_B: Float64 = np.where(fits.known_B, fits.residual_B * (ratio_B * ratio_B), scale_B)
    return spread_B


def growth_of(later: float, residual: float) -> float:
    """Return the growth of the errors of a sequence, 0 without a residual."""
    return later / residual if residual > 0 else 0.0


def growths_of(later_B: Float64, residual_B: Float64) -> Float64:
    """Return the growth of each of many sequences [B], as `growth_of` does."""
    growth_B = np.zeros(len(later_B))
    np.divide(later_B, residual_B, out=growth_B, where=residual_B > 0)
    return growth_B


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
