"""Draws a forecast after the given values, with characters."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence

from uniplot import plot_to_string

_MARGIN = 14
"""The frame and the labels of the axis take this many columns beside the curves."""

_HEIGHT = 17
_FEWEST_BEFORE = 64


def plot(sequence: Sequence[float], values: Sequence[float], intervals: Mapping[str, Sequence[float]] | None) -> str:
    """Draw the forecast `values`, an equally long end of `sequence` before it, and the widest interval.

    The plot is as wide as the terminal, or 80 columns without one. On a terminal it is in colour.
    """
    before = sequence[-max(len(values), _FEWEST_BEFORE) :]
    ends = list((intervals or {}).items())  # ordered from the lowest to the highest
    parts = {"values": before} | dict(ends[:1] + ends[-1:]) | {"forecast": values}
    curves = {name: list(part) for name, part in parts.items() if part}
    if not curves:
        return "nothing to draw"
    starts = {name: 1 - len(before) if name == "values" else 1 for name in curves}
    return plot_to_string(
        xs=[[starts[name] + step for step in range(len(curve))] for name, curve in curves.items()],
        ys=[*curves.values()],
        lines=True,
        legend_labels=[*curves],
        color=sys.stdout.isatty() and "NO_COLOR" not in os.environ,
        x_gridlines=[0.5],
        y_gridlines=[],
        width=max(20, shutil.get_terminal_size((80, 24)).columns - _MARGIN),
        height=_HEIGHT,
    )
