"""The processors that this process may use."""

import os
from pathlib import Path


def usable_cpus(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the CPUs that this process may use, at least 1: its affinity, or its container's quota if that is less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit_us, period_us = quota.read_text().split()
        return max(1, min(allowed, int(limit_us) // int(period_us)))
    except (OSError, ValueError):  # no such file, or "max" for no quota
        return allowed
