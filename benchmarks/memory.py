"""The memory of a running server's processes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.processes import Family, stat_of


@dataclass(frozen=True)
class Memory:
    """The memory of one process. MB are 10⁶ bytes."""

    pid: int
    parent: int
    command: str
    resident_mb: float
    proportional_mb: float
    """The process's own pages plus its share of the pages that it shares with other processes, in MB."""


def of(family: Family) -> list[Memory]:
    """Return the processes of a server, the largest first. This works on Linux only."""
    found = []
    for process in family.alive():
        folder, stat = Path("/proc", str(process.pid)), stat_of(process.pid)
        if stat is None:
            continue
        try:
            kilobytes = dict(re.findall(r"(?m)^(\w+): +(\d+) kB$", (folder / "smaps_rollup").read_text()))
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # the process has ended
            continue
        sizes = [int(kilobytes[name]) * 1.024e-3 for name in ("Rss", "Pss")]
        found.append(Memory(process.pid, stat.parent, command, *sizes))
    return sorted(found, key=lambda memory: -memory.resident_mb)
