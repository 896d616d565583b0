"""Random parameters of the rows of a batch.

Shape suffix: B rows.
"""

import numpy as np
import numpy.typing as npt

from training.data import Floats

Range = tuple[float, float]
"""The lowest and the highest value of a parameter."""

Mask = npt.NDArray[np.bool_]


def uniform(random: np.random.Generator, count: int, between: Range) -> Floats:
    """Return a number [B, 1] for each row, every value of the range being as likely."""
    return random.uniform(*between, (count, 1))


def log_uniform(random: np.random.Generator, count: int, between: Range) -> Floats:
    """Return a number [B, 1] for each row, every order of magnitude of the range being as likely."""
    low, high = np.log(between)
    return np.exp(random.uniform(low, high, (count, 1)))


def sometimes(random: np.random.Generator, count: int, share: float, between: Range) -> Floats:
    """Return `log_uniform` numbers [B, 1] for a share of the rows, and 0 for the others."""
    return np.where(random.random((count, 1)) < share, log_uniform(random, count, between), 0.0)


def signs(random: np.random.Generator, count: int) -> Floats:
    """Return 1 or -1 [B, 1] for each row."""
    return random.choice([-1.0, 1.0], (count, 1))


def chosen(random: np.random.Generator, count: int, share: float) -> Mask:
    """Return which rows [B] are chosen, each with the same probability."""
    return random.random(count) < share


def standardised(x_BT: Floats) -> Floats:
    """Return each row less its mean, divided by its standard deviation. A constant row becomes zeros."""
    centred_BT = x_BT - x_BT.mean(axis=1, keepdims=True)
    deviation_B1 = centred_BT.std(axis=1, keepdims=True)
    unit_BT: Floats = centred_BT / np.where(deviation_B1 > 0, deviation_B1, 1.0)
    return unit_BT
