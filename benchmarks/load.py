"""Drives one running server with wrk, and says whether anything else was busy meanwhile.

Two processors are shared by the server and wrk. If something else takes more than `MOST_FOREIGN` of one, the
measurement is repeated; if that goes on, the last one is kept and marked.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import wrk
from benchmarks.peers.registry import Call
from benchmarks.peers.serving import Served
from benchmarks.report import number

MOST_FOREIGN = 0.15
"""Cores that may be busy with something else."""
SLOW_S = 20
TIMEOUT_S = 30
"""Seconds after which an answer counts as an error."""


@dataclass(frozen=True)
class Measured:
    """One run of wrk, or the medians of several."""

    rate: float
    """Right answers a second."""
    p50_ms: float
    p99_ms: float
    errors: int
    """Sockets that failed, requests that timed out, and answers with a status of 400 or more."""
    cpu_us: float
    """Processor time of the server a request, in microseconds: hardly changed by what else is running."""
    cores: float
    """Cores that the server kept busy. About one, with two workers: all connections went to one of them, which happens
    when connections come in a burst, because a worker that wakes up accepts whatever is waiting."""
    foreign: float
    """Cores that were busy with neither the server nor wrk."""

    @property
    def disturbed(self) -> bool:
        return self.foreign > MOST_FOREIGN

    def cells(self) -> list[str]:
        """Rate, p50, p99; a star marks a disturbed measurement."""
        mark = " *" if self.disturbed else ""
        return [number(self.rate) + mark, number(self.p50_ms), number(self.p99_ms)]


def drive(
    served: Served, call: Call, body: bytes, connections: int, seconds: int, *, attempts: int = 4, warm_s: int = 1
) -> Measured:
    """Sends `body` over `connections` connections for `seconds` seconds, after a warm-up.

    A server so slow that a connection may not get two answers in that time is measured for `SLOW_S`.

    Raises wrk.WrkError.
    """
    url = served.url + call.path
    if warm_s:
        warm = wrk.run(url, body, call.headers, connections, warm_s, method=call.method, timeout_s=TIMEOUT_S)
        if warm.requests < 2 * connections * warm_s / seconds:
            seconds = max(seconds, SLOW_S)
    for _ in range(attempts):
        began, before = time.monotonic(), _clocks(served)
        result = wrk.run(url, body, call.headers, connections, seconds, method=call.method, timeout_s=TIMEOUT_S)
        took_s, after = time.monotonic() - began, _clocks(served)
        machine, server, load = (now - then for now, then in zip(after, before, strict=True))
        measured = Measured(
            rate=result.requests_per_second,
            p50_ms=result.p50_ms,
            p99_ms=result.p99_ms,
            errors=result.errors + result.non_2xx,
            cpu_us=1e6 * server / max(result.requests, 1),
            cores=server / took_s,
            foreign=max(0.0, (machine - server - load) / took_s),
        )
        if not measured.disturbed:
            break
    return measured


def medians(rounds: Sequence[Measured]) -> Measured:
    """The median of each number; those of disturbed rounds count only if there are no others."""
    rounds = [measured for measured in rounds if not measured.disturbed] or rounds
    return Measured(
        rate=median(measured.rate for measured in rounds),
        p50_ms=median(measured.p50_ms for measured in rounds),
        p99_ms=median(measured.p99_ms for measured in rounds),
        errors=sum(measured.errors for measured in rounds),
        cpu_us=median(measured.cpu_us for measured in rounds),
        cores=median(measured.cores for measured in rounds),
        foreign=median(measured.foreign for measured in rounds),
    )


def _clocks(served: Served) -> tuple[float, float, float]:
    """Processor seconds so far of: the machine, the server, and the children of this process that have ended (wrk)."""
    ticks = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    return busy, served.family.cpu_seconds(), children.ru_utime + children.ru_stime
