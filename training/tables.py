"""Tables for printing, and the pages that contain them. Pages are filled by code, so no number is typed by hand."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """A table of numbers by row and column. NaN is shown as an empty cell."""

    title: str
    first: str
    """Heading of the first column, which names the rows."""

    columns: Sequence[str]
    rows: Mapping[str, Sequence[float]]
    formats: Mapping[str, Callable[[float], str]] = field(default_factory=dict)
    """Functions that write the numbers of some columns. `number` writes those of the others."""

    def __str__(self) -> str:
        """Return the table as Markdown, aligned for a terminal: first column to the left, the others to the right."""
        lines = [[self.first, *self.columns]]
        formats = [self.formats.get(column, number) for column in self.columns]
        lines += [
            [name, *(write(value) for write, value in zip(formats, values, strict=True))]
            for name, values in self.rows.items()
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        texts = [
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
            for line in (lines[0], rule, *lines[1:])
        ]
        return f"{self.title}\n\n" + "\n".join(f"| {' | '.join(text)} |" for text in texts)


def number(value: float) -> str:
    """Format a number with three significant digits, in the shortest form."""
    return "" if value != value else f"{value:#.3g}".removesuffix(".") if 1e-3 <= abs(value) < 1e3 else f"{value:.2g}"


def filled(page: str, name: str, text: str) -> str:
    """Return the page with `text` between `<!-- NAME -->` and `<!-- /NAME -->`.

    Raises:
        ValueError: the page has no such place.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not place.search(page):
        raise ValueError(f"the page has no place between {begin} and {end}")
    return place.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", page)
