"""A forecast after the values that it follows, drawn with characters."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence

from uniplot import plot_to_string

_MARGIN = 14
"""Columns beside the curves: the frame, and the largest number that an axis can have."""

_HEIGHT = 17
_FEWEST_BEFORE = 64


def plot(sequence: Sequence[float], values: Sequence[float], intervals: Mapping[str, Sequence[float]] | None) -> str:
    """The forecast `values` behind the end of `sequence`, as much of it as there is of them, and the widest interval.

    As wide as the terminal, or 80 columns where there is none; in colour on a terminal.
    """
    before = sequence[-max(len(values), _FEWEST_BEFORE) :]
    ends = list((intervals or {}).items())  # from the lowest to the highest
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
