"""The fit of a model to a sequence: how well it has predicted the values given, each from those before it.

While a sequence is encoded, the network predicts every value before it sees it. All numbers here are in units of the
sequence. With e_1 … e_k the last errors, those of its later half and `RECENT` of them at most,

    residual² = Σ e_i² / k          noise² = Σ (e_i - 2 e_(i-1) + e_(i-2))² / 6 (k - 2)

The first half of a short sequence is left out, because the network begins from a zero state and has to see part of it.

No model predicts white noise. In it, both numbers have the same expectation, the deviation of the noise: the squares
of 1, -2 and 1 have the sum 6. (Von Neumann, "Distribution of the ratio of the mean square successive difference to the
variance", *Ann. Math. Statist.* 12(4), 1941, does this with first differences.) Where a model misses more than noise,
a trend or a second wave, its errors change slowly. Then the noise is small beside the residual. So

    expected = the noise, but not less than `clean` and not more than `noisiest`          ratio = residual / expected

`clean` is what 99 % of clean held-out sequences stay below, and `noisiest` is the residual of the noisiest ones. A
sequence does not fit if its ratio is larger than 99.9 % of the ratios of held-out sequences, clean and noisy.

Shape suffixes: B sequences, R = RECENT.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

RECENT = 16
"""The number of errors that a state carries, R. More of them would follow a change more slowly, and fewer of them
would tell less."""

FEWEST = 8
"""A shorter sequence has no fit: its noise would come from a single number."""


class Expectation(NamedTuple):
    """The residuals of held-out sequences of one length."""

    context: int
    """The length. It holds for longer sequences too, up to the next length."""

    clean: float
    noisiest: float
    largest_ratio: float


class Observed(Protocol):
    """The knowledge of a state (`model/runtime/base.py`) of the sequence before it."""

    @property
    def scale(self) -> float: ...
    @property
    def observed(self) -> int: ...
    @property
    def residual(self) -> float: ...
    @property
    def noise(self) -> float: ...
    @property
    def later(self) -> float: ...


class Fit(NamedTuple):
    """The fit of a sequence, in the caller's units."""

    residual: float
    expected: float
    ratio: float
    values: int
    """Number of values whose errors it comes from."""

    fits: bool
    """False if the ratio is beyond those of held-out sequences."""


class FitsOfMany(NamedTuple):
    """The fits of many sequences, [B] each. The numbers are those of `Fit`, and 0 where the fit is not known."""

    residual_B: npt.NDArray[np.float64]
    ratio_B: npt.NDArray[np.float64]
    fits_B: npt.NDArray[np.bool_]
    """True also where the fit is not known."""

    known_B: npt.NDArray[np.bool_]


def used(observed: int) -> int:
    """Return the number of errors that the fit of so many observed values is taken from, k."""
    return min(RECENT, observed // 2)


def residual_and_noise(
    error_BR: npt.NDArray[np.float32], observed_B: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return residual and noise, [B] each, of the last errors of sequences of `observed_B` values.

    The newest error is last. Both are 0 where there are none.
    """
    used_B = np.minimum(RECENT, observed_B // 2)
    place_R = np.arange(RECENT)
    errors_BR = np.where(place_R >= RECENT - used_B[:, None], error_BR.astype(np.float64), 0.0)
    residual_B = np.sqrt(_sum(errors_BR**2) / np.maximum(1, used_B))
    bends_BR = errors_BR[:, 2:] - 2 * errors_BR[:, 1:-1] + errors_BR[:, :-2]
    counted_BR = place_R[2:] >= RECENT + 2 - used_B[:, None]
    squares_B = _sum(np.where(counted_BR, bends_BR**2, 0.0))
    return residual_B, np.sqrt(squares_B / (6 * np.maximum(1, used_B - 2)))


def _sum(numbers_BR: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the sum of each row, added from left to right as the kernels do, so that it is equal to the bit."""
    sum_B: npt.NDArray[np.float64] = numbers_BR.cumsum(axis=1)[:, -1]
    return sum_B


def fits(expectations: Sequence[Expectation], state: Observed) -> bool:
    """Return whether a sequence fits, or is too short to tell. It is `fit_of`, at a fifth of the time.

    The longest context comes first in `expectations`.
    """
    for expectation in expectations:
        if state.observed >= expectation.context:
            largest = expectation.largest_ratio * _expected(expectation, state.noise)
            return state.residual <= largest or state.scale == 0
    return True


def fit_of(expectations: Sequence[Expectation], state: Observed) -> Fit | None:
    """Return the fit of a sequence, None if it is shorter than every context.

    The longest context comes first in `expectations`.
    """
    for expectation in expectations:
        if state.observed >= expectation.context:
            expected = _expected(expectation, state.noise)
            residual = state.residual if state.scale > 0 else 0.0  # a constant sequence is continued exactly
            ratio = residual / expected
            within = ratio <= expectation.largest_ratio
            return Fit(residual * state.scale, expected * state.scale, ratio, used(state.observed), within)
    return None


def fits_of(
    expectations: Sequence[Expectation],
    observed_B: npt.NDArray[np.int64],
    scale_B: npt.NDArray[np.float64],
    residual_B: npt.NDArray[np.float64],
    noise_B: npt.NDArray[np.float64],
) -> FitsOfMany:
    """Return the fits of many sequences, each as `fit_of` has it. The longest context comes first in `expectations`."""
    residual_B = np.where(scale_B > 0, residual_B, 0.0)
    ratio_B, largest_B = np.zeros(len(residual_B)), np.full(len(residual_B), np.inf)
    known_B = np.zeros(len(residual_B), np.bool_)
    for expectation in expectations:
        new_B = ~known_B & (observed_B >= expectation.context)
        noise_N, clean = noise_B[new_B], expectation.clean
        expected_B = np.where(noise_N <= clean, clean, np.minimum(noise_N, expectation.noisiest))
        ratio_B[new_B], largest_B[new_B] = residual_B[new_B] / expected_B, expectation.largest_ratio
        known_B |= new_B
    return FitsOfMany(residual_B * scale_B, ratio_B, ratio_B <= largest_B, known_B)


def _expected(expectation: Expectation, noise: float) -> float:
    if noise <= expectation.clean:
        return expectation.clean
    return noise if noise <= expectation.noisiest else expectation.noisiest
