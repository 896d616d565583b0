"""Reads values from text, as files and pipes contain them."""

import math
import re
from collections.abc import Iterable

from model.limits import LARGEST_VALUE


def read_values(lines: Iterable[str], name: str) -> list[float]:
    """Return the numbers in `lines`, separated by whitespace or commas.

    Raises ValueError for a word that cannot be a value. The message has `name`, the line and the allowed values.
    """
    values = []
    for number, line in enumerate(lines, start=1):
        for word in re.findall(r"[^\s,]+", line):
            try:
                value = float(word)
            except ValueError:
                value = math.nan
            if not abs(value) <= LARGEST_VALUE:  # true for NaN too
                wrong = repr(word if len(word) <= 20 else word[:20] + "…")
                raise ValueError(
                    f"{name}, line {number}: {wrong} is not a finite number of at most {LARGEST_VALUE:g} in size"
                )
            values.append(value)
    return values
