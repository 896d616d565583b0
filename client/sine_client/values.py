"""Reads numbers from text, as files, pipes and the command line contain them.

Python's `float` and `int` read `1_0`, `infinity` and the digits of every script too, which nobody means in a file of
values. Here a number has digits of ASCII and a decimal point.
"""

import re
from collections.abc import Iterable

from sine_client.limits import LARGEST_VALUE

_number = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch
_whole = re.compile(r"[+-]?[0-9]{1,18}").fullmatch

_maybe_one_number = re.compile(
    r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?"  # 0,5
    r"|[+-]?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+"  # 1.234,5
    r"|[+-]?[0-9]{1,3},[0-9]{3}\.[0-9]*"  # 1,234.5
).fullmatch

_SPACE = " \t\r\n\v\f\ufeff"
"""Whitespace of ASCII, and the byte order mark that some programs put in front of UTF-8."""

_two_commas = re.compile(f",[{_SPACE}]*,").search
_words = re.compile(f"[^{_SPACE}]+").findall


def number(text: str) -> float:
    """Return the number that the text is. Raises ValueError."""
    if not _number(text):
        raise ValueError("this is not a number such as 0.5 or 1e-3")
    return float(text)


def whole(text: str) -> int:
    """Return the whole number that the text is. Raises ValueError."""
    if not _whole(text):
        raise ValueError("this is not a whole number of at most 18 digits, such as 50")
    return int(text)


def read_values(lines: Iterable[str], name: str) -> list[float]:
    """Return the numbers in `lines`, with whitespace or commas between them.

    Raises ValueError for a word that cannot be a value, for a comma that may be part of a number, and for a missing
    value. The message has `name`, the line and what is allowed.
    """
    values = []
    for row, line in enumerate(lines, start=1):
        if _two_commas(line):
            raise ValueError(f"{name}, line {row}: there is no value between two commas")
        for word in _words(line):
            if _maybe_one_number(word.strip(",")):
                raise ValueError(
                    f"{name}, line {row}: {_shown(word)} may have a decimal comma: write a decimal point, or a "
                    "space after a comma between values"
                )
            values += [_value(part, f"{name}, line {row}") for part in word.split(",") if part]
    return values


def _value(word: str, place: str) -> float:
    if _number(word) and abs(float(word)) <= LARGEST_VALUE:
        return float(word)
    hint = ""
    if "\0" in word or "\ufffd" in word:
        hint = "; this is not text in UTF-8"
    elif ";" in word:
        hint = "; values have spaces, commas or newlines between them"
    raise ValueError(f"{place}: {_shown(word)} is not a finite number of at most {LARGEST_VALUE:g} in size{hint}")


def _shown(word: str) -> str:
    return repr(word if len(word) <= 20 else word[:20] + "…")
