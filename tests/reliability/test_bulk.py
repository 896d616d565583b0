"""Kills of bulk forecasts, the driver's process and those of workers, and what was lost."""

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from tests.bulk import bulk, contents, parts_of, wait_for_parts, write_parts
from tests.reliability.results import Result, Results
from tests.server import ROOT

PARTS, SERIES, HORIZON = 12, 300, 5


def _begin(source: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app.bulk", str(source), str(out), "--horizon", str(HORIZON), "--workers", "2"]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)


def _runs(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def _workers(of: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes of a run, but for its own. Linux only."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
        except OSError:  # the process has ended
            continue
        if session == of.pid and int(folder.name) != of.pid:
            found.append(int(folder.name))
    return found


def test_a_killed_run_continues_to_the_same_bytes(tmp_path: Path, full: bool, results: Results) -> None:
    source = write_parts(tmp_path / "in", PARTS, SERIES)
    assert bulk(source, tmp_path / "whole", "--horizon", HORIZON, "--workers", 1) == 0
    moments, kills = np.random.default_rng(), {"driver": 0, "worker": 0}
    for victim in kills:
        out = tmp_path / victim
        for _ in range(10 if full else 2):
            if len(parts_of(out)) == PARTS:
                shutil.rmtree(out)
            process, before = _begin(source, out), len(parts_of(out))
            wait_for_parts(out, before + int(moments.integers(PARTS - before)), partial(_runs, process))
            chosen = [process.pid] if victim == "driver" else _workers(process)
            if process.poll() is None and chosen:
                os.kill(int(moments.choice(chosen)), signal.SIGKILL)
                kills[victim] += 1
            assert process.wait(60) in (0, 1, -signal.SIGKILL)
        assert bulk(source, out, "--horizon", HORIZON, "--workers", 1) == 0
        assert contents(out) == contents(tmp_path / "whole")
        series = pl.concat([pl.read_parquet(path, columns=["unique_id"]) for path in sorted(out.glob("*.parquet"))])
        assert series["unique_id"].n_unique() == PARTS * SERIES
        assert len(series) == PARTS * SERIES * HORIZON
    count = PARTS * SERIES * len(kills)
    results.add(Result("bulk forecasts, killed and continued", sum(kills.values()), count, count, wrong=0, lost=0))
