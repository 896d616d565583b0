"""Measures the cost of each engine of bulk forecasts: processes of this machine, and Ray where it is installed.

Each engine forecasts the same parts with the same model, and has to write the same bytes. A run of two series in all
shows what an engine costs before it does anything. Processor time is that of all processes of a run, also of those that
Ray starts; it is read ten times a second, so a process that lives for less than that does not count.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import memory
from benchmarks.peers.processes import TOKEN, Family, stat_of
from benchmarks.report import ROOT, Table, number, save

_ENGINES = {"one process": ("--workers", "1"), "2 processes": ("--workers", "2"), "Ray": ("--engine", "ray")}
_LENGTH, _HORIZON = 64, 24


@dataclass(frozen=True)
class Run:
    """The cost of a run."""

    cpu_s: float
    wall_s: float
    memory_mb: float
    """The most that its processes had at one time, without what they share."""

    digest: str
    """The sha256 of all that it wrote."""


def write_parts(folder: Path, parts: int, series: int) -> Path:
    """Write a folder of Parquet parts with so many sines each, and return it."""
    folder.mkdir()
    step_T = np.arange(_LENGTH)
    for part in range(parts):
        name_B = [f"{part:03}-{one:06}" for one in range(series)]
        value_BT = np.sin(step_T * np.linspace(0.2, 0.6, series)[:, None]) + part
        columns = {"unique_id": np.repeat(name_B, _LENGTH), "ds": np.tile(step_T, series), "y": value_BT.ravel()}
        pl.DataFrame(columns).write_parquet(folder / f"{part:03}.parquet")
    return folder


def measure(source: Path, out: Path, options: Sequence[str]) -> Run:
    """Run the command, and watch its processes. Raises CalledProcessError if it fails."""
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "app.bulk", str(source), str(out), "--horizon", str(_HORIZON), "--model", "sine"]
    began = time.monotonic()
    with subprocess.Popen([*command, *options], cwd=ROOT, env=os.environ | {TOKEN: token}) as process:  # noqa: S603
        family, ticks, most_mb = Family(process.pid, token), {}, 0.0
        while process.poll() is None:
            for member in family.alive():
                if (stat := stat_of(member.pid)) is not None:
                    ticks[member] = stat.cpu_ticks
            most_mb = max(most_mb, sum(each.proportional_mb for each in memory.of(family)))
            time.sleep(0.1)
        wall_s = time.monotonic() - began
        family.kill()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    digest = hashlib.sha256()
    for path in sorted(out.rglob("*.parquet")):
        digest.update(path.read_bytes())
    return Run(sum(ticks.values()) / os.sysconf("SC_CLK_TCK"), wall_s, most_mb, digest.hexdigest())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each engine, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk_engines", description=__doc__)
    parser.add_argument("--parts", type=int, default=32, help="default: 32")
    parser.add_argument("--series", type=int, default=200_000, help="in all parts; default: 200,000")
    chosen = parser.parse_args(arguments)
    engines = {name: options for name, options in _ENGINES.items() if name != "Ray" or find_spec("ray")}
    rows, data = [], {}
    with tempfile.TemporaryDirectory(prefix="engines-") as name:
        folder = Path(name)
        whole = write_parts(folder / "whole", chosen.parts, chosen.series // chosen.parts)
        nothing = write_parts(folder / "nothing", 2, 1)
        for count, (engine, options) in enumerate(engines.items()):
            print(f"{engine}", file=sys.stderr, flush=True)
            idle = measure(nothing, folder / f"idle-{count}", options)
            full = measure(whole, folder / f"full-{count}", options)
            data[engine] = {"idle": asdict(idle), "full": asdict(full)}
            rows.append([engine, *map(number, (full.cpu_s, idle.cpu_s, full.wall_s, full.memory_mb))])
    if len({each["full"]["digest"] for each in data.values()}) != 1:
        raise RuntimeError("the engines have written different bytes")
    columns = ["engine", "processor, s", "of which fixed, s", "wall, s", "memory, MB"]
    save("bulk_engines", {"engines": Table(columns, rows)}, data)


if __name__ == "__main__":
    main()
