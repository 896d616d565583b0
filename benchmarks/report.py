"""The output of a benchmark: tables to read, and the same tables with all raw numbers as JSON.

A file `runs/bench/NAME.json` holds `machine`, `tables` (cells as they were printed) and `data` (numbers).
`benchmarks/document.py` copies these tables into the documentation, so that no number there is typed by hand.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "bench"
_PACKAGES = ("torch", "numba", "numpy", "fastapi", "uvicorn", "uvloop", "httptools", "pydantic", "orjson")


@dataclass(frozen=True)
class Table:
    """A table of cells as text. The published text is the printed text."""

    columns: list[str]
    rows: list[list[str]]

    def __str__(self) -> str:
        """Return the table as Markdown, aligned for a terminal: first column to the left, the others to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.columns))]

        def text(line: list[str]) -> str:
            cells = [
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            return f"| {' | '.join(cells)} |"

        rule = [("-" * width if index == 0 else "-" * (width - 1) + ":") for index, width in enumerate(widths)]
        return "\n".join([text(self.columns), f"| {' | '.join(rule)} |", *(text(row) for row in self.rows)])


@dataclass(frozen=True)
class Target:
    """A target of the project: `measured` must be at least `bound`, or at most `bound` if `at_most` is set."""

    work: str
    measured: float
    bound: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def row(self) -> list[str]:
        """Return the cells: work, target, measurement and verdict."""
        sign = "≤" if self.at_most else "≥"
        miss = (self.measured / self.bound - 1) * 100
        return [
            self.work,
            f"{sign} {self.bound:,g}",
            number(self.measured),
            "met" if self.met else f"missed by {abs(miss):.0f} %" if abs(miss) >= 1 else f"missed by {abs(miss):.1g} %",
        ]


def targets(rows: Iterable[Target]) -> Table:
    """Return the table of targets."""
    return Table(["work", "target", "measured", "verdict"], [row.row() for row in rows])


def number(value: float) -> str:
    """Format a number with three significant digits, or with all its digits if it is larger."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def machine() -> dict[str, str]:
    """Return the facts about the machine that was measured."""
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    flags = next((line.split() for line in _lines("/proc/cpuinfo") if line.startswith("flags")), [])
    return {
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": f"{processor}, {len(os.sched_getaffinity(0))} cores"
        + (", AVX-512" if "avx512f" in flags else ", AVX2" if "avx2" in flags else ""),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES if find_spec(name)),
    }


def save(name: str, tables: Mapping[str, Table], data: Any) -> Path:
    """Print the tables and write `runs/bench/NAME.json`. Return its path."""
    facts = machine()
    content = {
        "machine": facts,
        "tables": {key: asdict(table) for key, table in tables.items()},
        "data": data,
    }
    RUNS.mkdir(parents=True, exist_ok=True)
    path = RUNS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    for key, table in tables.items():
        print(f"\n{name}: {key}\n\n{table}")
    print(f"\n{path.relative_to(ROOT)}", flush=True)
    return path


def load(name: str) -> dict[str, Any] | None:
    """Read the file that `save` wrote; None if there is none."""
    path = RUNS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
