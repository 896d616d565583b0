"""Measures several servers under the same loads, in rounds: each round starts every server once, one after the other.

So a change of the machine in the course of a run meets all of them, and no two servers are up at the same time.
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
    """A kind of request and how many connections send it."""

    connections: int
    steps: int | None = None
    """None: /predict. Otherwise /generate of so many."""
    length: int = 50

    def call(self, peer: Peer) -> Call | None:
        """The endpoint, if the peer has it."""
        return peer.predict if self.steps is None else peer.generate

    def body(self, call: Call) -> bytes:
        return call.body(sample(self.length), *([] if self.steps is None else [self.steps]))

    def __str__(self) -> str:
        kind = "/predict" if self.steps is None else f"/generate {self.steps:,}"
        return f"{kind}, {self.connections} connection{'s' if self.connections > 1 else ''}"


@dataclass
class Entry:
    """What was measured of one server."""

    peer: Peer
    version: str = ""
    start_s: list[float] = field(default_factory=list)
    """Seconds until it gave right answers, each round."""
    memory_mb: list[float] = field(default_factory=list)
    """Proportional memory of all its processes after the loads, each round."""
    measured: dict[Load, list[Measured]] = field(default_factory=dict)
    failure: str = ""
    """Why there is nothing, or not all."""

    def raw(self) -> dict[str, object]:
        """Everything, for JSON."""
        return {
            "version": self.version,
            "start_s": self.start_s,
            "memory_mb": self.memory_mb,
            "failure": self.failure,
            "loads": {str(load): [asdict(one) for one in several] for load, several in self.measured.items()},
        }

    def result(self, load: Load) -> Measured | None:
        """The medians of all rounds."""
        return medians(self.measured[load]) if self.measured.get(load) else None


def measure(
    peers: Iterable[Peer], loads: Sequence[Load], model: Path, *, rounds: int, seconds: int, attempts: int = 4
) -> dict[str, Entry]:
    """Entries by the peers' names. A peer that fails is reported, and left out of the rounds that remain."""
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
    """The answer to one request. Raises PeerError if it is not 200."""
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
    """The floors, answering /generate of `steps` with a constant of as many bytes as our server's answer has."""
    with serving(own(workers=1), environment(own()), model) as served:
        call = own().generate
        size = len(ask(served, call, call.body(sample(), steps))) if call is not None else 0
    return [replace(floor, environment={**floor.environment, "BENCH_GENERATE_BYTES": str(size)}) for floor in floors]
