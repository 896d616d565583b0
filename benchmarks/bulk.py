"""Bulk forecasts: series a second and the memory of a process, beside statistical methods on a sample.

    python -m benchmarks.bulk                                   1,000,000 series of 64 values in 32 parts
    python -m benchmarks.bulk --series 40000 --parts 4          a smaller folder, for a busy machine

The series are hourly sines with noise, of 24 values a period and other lengths. statsforecast's methods run in one
process, on a sample, and are left out where the package is not installed. Writes runs/bench/bulk.json.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import tyro

from app.cpus import usable_cpus
from benchmarks.peers.processes import TOKEN, Family, stat_of
from benchmarks.report import Table, Target, number, save, targets

HORIZON, LEVELS = 24, (80, 95)
SERIES_A_SECOND, LARGEST_MB = 40_000, 500


@dataclass(frozen=True)
class Options:
    """Measure bulk forecasts."""

    series: int = 1_000_000
    parts: int = 32
    length: int = 64
    """The number of values of each series."""

    workers: int = usable_cpus()
    models: tuple[str, ...] = ("sine", "any")
    sample: int = 200
    """The number of series for each statistical method."""


@dataclass(frozen=True)
class Measured:
    """One run."""

    seconds: float
    processor_s: float
    """Processor time of all processes, their start included, in seconds."""

    peak_mb: float
    """The largest resident memory that any process has had, in MB of 10⁶ bytes."""


def write(folder: Path, options: Options) -> None:
    """Write the parts of Parquet files."""
    rng, each = np.random.default_rng(0), options.series // options.parts
    first = datetime(2026, 1, 1)
    last = first + timedelta(hours=options.length - 1)
    times = pl.datetime_range(first, last, "1h", eager=True)
    for part in range(options.parts):
        period_B1 = rng.choice([12.0, 24.0, *np.linspace(8, 64, 10)], (each, 1))
        wave_BT = np.sin(2 * np.pi * (np.arange(options.length) / period_B1 + rng.uniform(0, 1, (each, 1))))
        y_BT = 10 + wave_BT + 0.05 * rng.standard_normal((each, options.length))
        ids = pl.Series([f"meter-{part:03d}-{number:07d}" for number in range(each)])
        table = pl.DataFrame(
            {
                "unique_id": ids.gather(np.repeat(np.arange(each), options.length)),
                "ds": pl.concat([times] * each),
                "y": y_BT.ravel(),
            }
        )
        table.write_parquet(folder / f"part-{part:03d}.parquet")


def run(source: Path, out: Path, model: str, workers: int) -> Measured:
    """Forecast all parts by the command."""
    command = [sys.executable, "-m", "app.bulk", str(source), str(out), "--horizon", str(HORIZON), "--model", model]
    command += ["--level", *map(str, LEVELS), "--workers", str(workers)]
    began, token = time.perf_counter(), secrets.token_hex(8)
    process = subprocess.Popen(command, env=os.environ | {TOKEN: token}, start_new_session=True)  # noqa: S603 - our own
    family, used, peaks = Family(process.pid, token), dict[int, float](), dict[int, float]()
    while process.poll() is None:
        for member in family.alive():
            if (stat := stat_of(member.pid)) is not None and (peak_mb := _peak_mb(member.pid)):
                used[member.pid], peaks[member.pid] = stat.cpu_ticks / os.sysconf("SC_CLK_TCK"), peak_mb
        time.sleep(0.3)  # each look takes processor time from the processes that it looks at
    if process.returncode:
        raise SystemExit(process.returncode)
    return Measured(time.perf_counter() - began, sum(used.values()), max(peaks.values()))


def _peak_mb(pid: int) -> float:
    """Return the largest resident memory that a process has had, in MB; 0 if it has ended. Linux only."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) * 1.024e-3 if found else 0.0


def statistical(source: Path, sample: int) -> list[list[str]]:
    """Return a row for each of statsforecast's methods on the first series."""
    try:
        from statsforecast import StatsForecast
        from statsforecast.models import AutoARIMA, AutoETS, SeasonalNaive
    except ImportError:
        return []
    frame = pl.read_parquet(source / "part-000.parquet")
    chosen = frame["unique_id"].unique(maintain_order=True).head(sample)
    frame = frame.filter(pl.col("unique_id").is_in(chosen.implode()))
    rows = []
    for method in (SeasonalNaive(24), AutoETS(season_length=24), AutoARIMA(season_length=24)):
        began = time.process_time()
        StatsForecast([method], freq="1h", n_jobs=1).forecast(df=frame, h=HORIZON, level=list(LEVELS))
        processor_s = time.process_time() - began
        rows.append([f"statsforecast {method}", number(len(chosen) / processor_s), "", ""])
    return rows


def main(options: Options) -> None:
    """Measure both models and the statistical methods."""
    columns = ["method", "series a second of processor time", "series a second", "largest process, MB"]
    rows, verdicts = [], []
    with TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        write(source, options)
        for model in options.models:
            found = run(source, Path(folder) / model, model, options.workers)
            per_processor, a_second = options.series / found.processor_s, options.series / found.seconds
            rows.append([model, f"{per_processor:,.0f}", f"{a_second:,.0f}", f"{found.peak_mb:,.0f}"])
            if model == "sine":
                verdicts.append(Target("sine, series a second", a_second, SERIES_A_SECOND))
            verdicts.append(Target(f"{model}, MB of the largest process", found.peak_mb, LARGEST_MB, at_most=True))
        rows += statistical(source, options.sample)
    save("bulk", {"methods": Table(columns, rows), "targets": targets(verdicts)}, asdict(options))


if __name__ == "__main__":
    main(tyro.cli(Options))
