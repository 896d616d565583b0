"""Finds and ends every process that a server started, by marks that only its own processes have.

A process group is not enough. A server may start its own sessions, and a parent that dies first leaves orphans. A
server is therefore started with a token in its environment, which its descendants inherit. A process belongs to it if
it has that token, is in the session that was started for it, or descends from such a process. A process is identified
by its id and start time, so a reused id is never hit.

This works on Linux only, because it reads /proc.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TOKEN = "BENCH_PEER_TOKEN"  # noqa: S105
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    pid: int
    started: int
    """Start time in clock ticks since boot."""


@dataclass(frozen=True)
class Stat:
    parent: int
    session: int
    cpu_ticks: int
    started: int
    zombie: bool


class Family:
    """One server process and all its descendants."""

    def __init__(self, leader_pid: int, token: str) -> None:
        self._leader_pid = leader_pid
        self._mark = f"{TOKEN}={token}".encode()
        self._known: set[Process] = set()

    def alive(self) -> set[Process]:
        """Return the living processes of the family. Each call also finds new ones."""
        stats = {pid: stat for pid in _pids() if (stat := stat_of(pid)) is not None}
        members = {pid for pid, stat in stats.items() if Process(pid, stat.started) in self._known}
        for pid, stat in stats.items():
            if pid != os.getpid() and (stat.session == self._leader_pid or self._mark in _environment(pid)):
                members.add(pid)
        grown = True
        while grown:
            children = {pid for pid, stat in stats.items() if stat.parent in members} - members
            members |= children
            grown = bool(children)
        found = {Process(pid, stats[pid].started) for pid in members}
        self._known |= found
        return {process for process in found if not stats[process.pid].zombie}

    def cpu_seconds(self) -> float:
        """Return the processor time, user and system, that the living members have used."""
        stats = (stat_of(process.pid) for process in self.alive())
        return sum(stat.cpu_ticks for stat in stats if stat is not None) / _TICKS_PER_S

    def settle(self, *, quiet_cores: float = 0.25, bound_s: float = 30.0) -> None:
        """Wait until the family uses less than `quiet_cores` of a core for half a second, but at most `bound_s`.

        The first answer comes from the first worker; the others may still be importing PyTorch.
        """
        end = time.monotonic() + bound_s
        before = self.cpu_seconds()
        while time.monotonic() < end:
            time.sleep(0.5)
            now = self.cpu_seconds()
            if now - before < quiet_cores * 0.5:
                return
            before = now

    def stop(self, leader: subprocess.Popen[bytes], *, patience_s: float = 10.0) -> None:
        """Ask the leader to stop, wait up to `patience_s`, then kill all remaining processes.

        Raises RuntimeError if a process survives SIGKILL for another `patience_s`.
        """
        self.alive()
        if leader.poll() is None:
            leader.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                leader.wait(patience_s)
        self.kill(patience_s=patience_s)
        leader.wait()

    def kill(self, *, patience_s: float = 10.0) -> None:
        """Send SIGKILL until no member is alive. Raise RuntimeError if that takes more than `patience_s`."""
        end = time.monotonic() + patience_s
        while left := self.alive():
            if time.monotonic() > end:
                raise RuntimeError(f"still running after SIGKILL: {sorted(process.pid for process in left)}")
            for process in left:
                stat = stat_of(process.pid)
                if stat is not None and stat.started == process.started:
                    with suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.05)


@contextmanager
def guarded(leader_pid: int, token: str) -> Iterator[None]:
    """Kill the family even if this process is killed and none of its `finally` blocks runs.

    A small process holds the other end of a pipe. When the pipe closes for any reason, it kills the remaining members.
    """
    root = Path(__file__).resolve().parents[2]
    guard = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "benchmarks.peers.processes", str(leader_pid), token],
        cwd=root,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield
    finally:
        if guard.stdin is not None:
            guard.stdin.close()
        guard.wait(30)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def stat_of(pid: int) -> Stat | None:
    """Return the system's record of a process; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The command's name, in parentheses, may contain spaces, so fields are counted from its end. Each index is the
    # field's number in proc(5) less 3.
    fields = text.rpartition(")")[2].split()
    return Stat(
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        started=int(fields[19]),
        zombie=fields[0] in "ZX",
    )


if __name__ == "__main__":
    sys.stdin.buffer.read()
    Family(int(sys.argv[1]), sys.argv[2]).kill()
