"""Drives one running server with wrk and detects disturbances by other processes.

The server and wrk share two processors. If other processes take more than `MOST_FOREIGN` of one, the measurement is
repeated. If the disturbance persists, the last measurement is kept and marked.
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
"""Other processes may use at most this many cores."""
SLOW_S = 20
TIMEOUT_S = 30
"""An answer that takes more seconds than this counts as an error."""


@dataclass(frozen=True)
class Measured:
    """The result of one run of wrk, or the medians of several."""

    rate: float
    """Number of right answers a second."""
    p50_ms: float
    p99_ms: float
    errors: int
    """Number of failed sockets, of requests that timed out, and of answers with a status of 400 or more."""
    cpu_us: float
    """Processor time of the server for one request, in microseconds. Other processes hardly affect it."""
    cores: float
    """Number of cores that the server kept busy.

    About one core with two workers means that all connections went to one worker. This happens when connections come in
    a burst, because a worker that wakes up accepts all waiting ones.
    """
    foreign: float
    """Number of cores that neither the server nor wrk kept busy."""

    @property
    def disturbed(self) -> bool:
        return self.foreign > MOST_FOREIGN

    def cells(self) -> list[str]:
        """Return the rate, the p50 and the p99. A star marks a disturbed measurement."""
        mark = " *" if self.disturbed else ""
        return [number(self.rate) + mark, number(self.p50_ms), number(self.p99_ms)]


def drive(
    served: Served, call: Call, body: bytes, connections: int, seconds: int, *, attempts: int = 4, warm_s: int = 1
) -> Measured:
    """Send `body` over `connections` connections for `seconds` seconds, after a warm-up.

    If the server is so slow that a connection may not get two answers in that time, it is measured for `SLOW_S`
    seconds.

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
    """Return the median of each number. Disturbed rounds count only if there are no others."""
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
    """Return the processor seconds so far of the machine, of the server, and of this process's ended children (wrk)."""
    ticks = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    return busy, served.family.cpu_seconds(), children.ru_utime + children.ru_stime
