"""The units of a sequence: its level and its scale. A network sees z = (x - level) / scale.

A new model takes both from the values given: the level is the middle of their range, and the scale is half of the
range. A sine that has been given for a period or longer has its own level and its amplitude as units, up to the
distance of its samples from its peaks. The forecast f then follows every change of unit of its sequence:

    f(a x + c) = a f(x) + c

A constant sequence has the scale 0. Its z are 0, and its forecast is level + 0 · z, the constant.

The range was chosen by training: mean and standard deviation gave three times its errors. And the range of a longer
sequence follows from its lowest and highest value so far, so a sequence that grows seldom changes its units.

    range      the middle and the half of the range of the values given
    max_abs    0 and the largest absolute value given; artifacts before version 0.3.0
    standard   two fixed numbers, the mean and the standard deviation of the training data; artifacts before 0.3.0
"""

from typing import NamedTuple

from sine_client.metadata import Normalisation as Normalisation


class Units(NamedTuple):
    """The units of a sequence, in the caller's units."""

    level: float
    scale: float


def units_between(
    lowest: float, highest: float, normalisation: Normalisation = "range", offset: float = 0.0, scale: float = 1.0
) -> Units:
    """Return the units of a sequence from its lowest and its highest value. `offset` and `scale` are those of
    `standard`.
    """
    if normalisation == "range":
        half = (highest - lowest) / 2
        return Units(lowest + half, half)
    if normalisation == "max_abs":
        return Units(0.0, max(-lowest, highest))
    return Units(offset, scale)
