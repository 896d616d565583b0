"""Measures several servers under the same loads, in rounds. Each round starts every server once, one after the other.

A change of the machine during a run therefore affects all servers, and no two servers run at the same time.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import memory
from benchmarks.load import Measured, drive, medians
from benchmarks.own import own
from benchmarks.peers.environments import environment
from benchmarks.peers.registry import Call, Peer, sample
from benchmarks.peers.serving import PeerError, Served, serving
from benchmarks.wrk import WrkError


@dataclass(frozen=True)
class Load:
    """A kind of request and the number of connections that send it."""

    connections: int
    steps: int | None = None
    """None stands for /predict. A number stands for /generate of that many steps."""
    length: int = 50

    def call(self, peer: Peer) -> Call | None:
        """Return the endpoint, or None if the peer does not have it."""
        return peer.predict if self.steps is None else peer.generate

    def body(self, call: Call) -> bytes:
        return call.body(sample(self.length), *([] if self.steps is None else [self.steps]))

    def __str__(self) -> str:
        kind = "/predict" if self.steps is None else f"/generate {self.steps:,}"
        return f"{kind}, {self.connections} connection{'s' if self.connections > 1 else ''}"


@dataclass
class Entry:
    """The measurements of one server."""

    peer: Peer
    version: str = ""
    start_s: list[float] = field(default_factory=list)
    """Seconds until the server gave right answers, one number for each round."""
    memory_mb: list[float] = field(default_factory=list)
    """Proportional memory of all its processes after the loads in MB, one number for each round."""
    measured: dict[Load, list[Measured]] = field(default_factory=dict)
    failure: str = ""
    """Reason why measurements are missing; empty if none are."""

    def raw(self) -> dict[str, object]:
        """Return all measurements as values for JSON."""
        return {
            "version": self.version,
            "start_s": self.start_s,
            "memory_mb": self.memory_mb,
            "failure": self.failure,
            "loads": {str(load): [asdict(one) for one in several] for load, several in self.measured.items()},
        }

    def result(self, load: Load) -> Measured | None:
        """Return the medians of all rounds."""
        return medians(self.measured[load]) if self.measured.get(load) else None


def measure(
    peers: Iterable[Peer], loads: Sequence[Load], model: Path, *, rounds: int, seconds: int, attempts: int = 4
) -> dict[str, Entry]:
    """Return the entries by the peers' names. A peer that fails is reported and left out of the remaining rounds."""
    entries = {peer.name: Entry(peer) for peer in peers}
    for number in range(1, rounds + 1):
        for entry in entries.values():
            if entry.failure:
                continue
            print(f"round {number} of {rounds}: {entry.peer.name}", file=sys.stderr, flush=True)
            try:
                _one_round(entry, loads, model, seconds, attempts)
            except (PeerError, WrkError, OSError, subprocess.CalledProcessError) as error:
                entry.failure = str(error)
                print(f"{entry.peer.name}: {error}", file=sys.stderr, flush=True)
    return entries


def _one_round(entry: Entry, loads: Sequence[Load], model: Path, seconds: int, attempts: int) -> None:
    with serving(entry.peer, environment(entry.peer), model) as served:
        entry.version = served.version
        entry.start_s.append(served.start_s)
        for load in loads:
            call = load.call(entry.peer)
            if call is not None:
                measured = drive(served, call, load.body(call), load.connections, seconds, attempts=attempts)
                entry.measured.setdefault(load, []).append(measured)
        entry.memory_mb.append(sum(process.proportional_mb for process in memory.of(served.family)))


def ask(served: Served, call: Call, body: bytes) -> bytes:
    """Return the answer to one request. Raise PeerError if its status is not 200."""
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=60)
    try:
        connection.request(call.method, call.path, body, dict(call.headers))
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise PeerError(f"{call.path} answered {response.status}: {content[:300]!r}")
        return content
    finally:
        connection.close()


def as_long_as_ours(floors: Iterable[Peer], model: Path, steps: int) -> list[Peer]:
    """Return the floors with a constant answer to /generate of `steps` that is as long as our server's answer, in
    bytes.
    """
    with serving(own(workers=1), environment(own()), model) as served:
        call = own().generate
        size = len(ask(served, call, call.body(sample(), steps))) if call is not None else 0
    return [replace(floor, environment={**floor.environment, "BENCH_GENERATE_BYTES": str(size)}) for floor in floors]
