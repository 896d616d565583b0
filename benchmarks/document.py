"""Copies the tables in runs/bench/ into the pages of docs/, between their markers.

`<!-- bench NAME.TABLE -->` and `<!-- /bench -->` enclose the table TABLE of runs/bench/NAME.json. `NAME.machine` stands
for the machine that was measured. Tables without a measurement in runs/bench/ stay unchanged.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from benchmarks.report import ROOT, Table, load

PAGES = tuple(
    ROOT / "docs" / name
    for name in (
        "performance.md",
        "bulk.md",
        "models.md",
        "reliability.md",
        "scale.md",
        "series.md",
        "decisions/metrics.md",
    )
)
_PLACE = re.compile(r"(<!-- bench (\w+)\.([^>]+?) -->\n).*?(<!-- /bench -->)", re.DOTALL)


def filled(page: str) -> str:
    """Return the page with every measured table filled in. Raise KeyError for a marker that names no table."""

    def fill(place: re.Match[str]) -> str:
        begin, name, key, end = place.groups()
        measured = load(name)
        if measured is None:
            return place[0]
        if key == "machine":
            table = Table(["", name], [[fact, text] for fact, text in measured["machine"].items()])
        else:
            table = Table(**measured["tables"][key])
        return f"{begin}\n{_left_aligned(table) if key == 'machine' else table}\n\n{end}"

    return _PLACE.sub(fill, page)


def _left_aligned(table: Table) -> str:
    return str(table).replace("-:", "--")


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.document", description=__doc__).parse_args(arguments)
    for page in PAGES:
        page.write_text(filled(page.read_text()))
        print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
