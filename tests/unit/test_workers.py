"""How many workers there are by default."""

import os
from pathlib import Path

import pytest

from app.settings import Settings
from app.workers import usable_cpus, worker_count

CPUS = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", CPUS), ("50000 100000", 1), ("100000 100000", 1), (f"{CPUS + 3}00000 100000", CPUS), ("?", CPUS)],
)
def test_a_container_with_a_quota_has_as_many_cpus_as_it_pays_for(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert usable_cpus(tmp_path / "cpu.max") == expected


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "missing") == CPUS


def test_workers_are_what_was_asked_for_or_one_for_each_cpu_or_one_on_cuda() -> None:
    assert worker_count(Settings(workers=7)) == 7
    assert worker_count(Settings(device="cpu")) == usable_cpus()
    assert worker_count(Settings(device="cuda")) == 1
