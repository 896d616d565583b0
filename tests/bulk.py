"""Series, files of them, and runs of `python -m app.bulk` for tests."""

import multiprocessing
import runpy
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from app.bulk.__main__ import main

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["app.bulk.run", "rich", "tyro"])


def bulk(*arguments: object) -> int:
    """Run the command in this process, and return its exit status."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def begin(*arguments: object) -> multiprocessing.process.BaseProcess:
    """Begin the command in another process, a fork of one that has imported everything."""
    process = _forks.Process(target=_become, args=(list(map(str, arguments)),))
    process.start()
    return process


def _become(arguments: list[str]) -> None:
    sys.argv = ["app.bulk", *arguments]
    runpy.run_module("app.bulk", run_name="__main__", alter_sys=True)


def table(names: list[str], length: int = 40, seed: int = 0) -> pl.DataFrame:
    """Return series in long form, with a value for each month's end."""
    rng = np.random.default_rng(seed)
    month = pl.datetime_range(datetime(2020, 2, 1), datetime(2060, 1, 1), "1mo", eager=True).head(length)
    dates = month.dt.offset_by("-1d").cast(pl.Date)
    season_T = np.sin(2 * np.pi * np.arange(length) / 12)
    rows = [10 * number + season_T + 0.1 * rng.standard_normal(length) for number in range(len(names))]
    return pl.DataFrame(
        {
            "unique_id": np.repeat(names, length),
            "ds": pl.concat([dates] * len(names)),
            "y": np.concatenate(rows),
        }
    )


def write_parts(folder: Path, parts: int, series: int, length: int = 40) -> Path:
    """Write a folder of Parquet parts, and return it."""
    folder.mkdir()
    for part in range(parts):
        names = [f"part {part} series {number}" for number in range(series)]
        table(names, length, seed=part).write_parquet(folder / f"part-{part:02d}.parquet")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def parts_of(out: Path) -> list[Path]:
    """Return the parts that a run has written."""
    return sorted(out.glob("part-*"))


def wait_for_parts(out: Path, count: int, alive: Callable[[], bool]) -> None:
    """Return when so many parts are written and, at random, a little more is done; or when the run has ended."""
    while len(parts_of(out)) < count and alive():
        time.sleep(0.001)
    time.sleep(float(np.random.default_rng().uniform(0, 0.02)))
