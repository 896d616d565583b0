"""Measures streams, state tokens and /live: the first values, single values, and the memory of a slow reader.

One worker serves the model that ships. The first values of a stream are timed from the request to the first event, in
turns with whole answers of /generate. A value on /live is compared with two other requests, one after the other, on one
connection: /predict of the last 64 values, as from a client without a state, and /predict from a state token. *µs of
the server* is the processor time of the server's process for each value, including sockets, protocol and waking up.
With 16 connections one wake-up handles several values. The slow reader reads a rollout to its end at a fixed number of
bytes a second.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median, quantiles
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect as open_together
from websockets.sync.client import connect

from benchmarks import memory
from benchmarks.own import own
from benchmarks.peers.environments import environment
from benchmarks.peers.serving import Served, serving
from benchmarks.report import Table, Target, number, save, targets
from model import DEFAULT_ARTIFACT

STEPS = (100, 10_000, 100_000)
FIRST_S, VALUE_S = 5e-3, 150e-6
WAVE = [math.sin(2 * math.pi * t / 25) for t in range(10_000)]
GIVEN = 64
TOGETHER = 16


@dataclass(frozen=True)
class Timed:
    """The timings of calls of one kind."""

    took_s: list[float]
    """Seconds of each call, measured by the client."""
    cpu_s: float
    """Processor time of the server for one call, in seconds."""

    def cells(self) -> list[str]:
        """Return the median and the 99th percentile of the client's times, and the server's processor time, in µs."""
        return [number(1e6 * value) for value in (median(self.took_s), quantiles(self.took_s, n=100)[-1], self.cpu_s)]


def timed(served: Served, call: Callable[[], object], calls: int) -> Timed:
    """Make calls one after the other. A tenth as many calls come first and are not counted."""
    for _ in range(calls // 10):
        call()
    took_s, before = [], served.family.cpu_seconds()
    for _ in range(calls):
        began = time.perf_counter()
        call()
        took_s.append(time.perf_counter() - began)
    return Timed(took_s, (served.family.cpu_seconds() - before) / calls)


def first_values(served: Served, calls: int) -> tuple[Table, list[Target]]:
    """Time the first event of a stream and the whole answer of /generate."""
    rows, verdicts = [], []
    with httpx.Client(base_url=served.url, timeout=60) as client:
        for steps in STEPS:
            body = {"sequence": WAVE[:GIVEN], "steps": steps}
            streamed, whole = [], []
            for _ in range(calls):
                began = time.perf_counter()
                with client.stream("POST", "/generate/stream", json=body) as response:
                    next(response.iter_bytes())
                    streamed.append(time.perf_counter() - began)
                began = time.perf_counter()
                client.post("/generate", json=body).raise_for_status()
                whole.append(time.perf_counter() - began)
            first_s, last_s = median(streamed), quantiles(streamed, n=100)[-1]
            rows.append([f"{steps:,}", *(number(1e3 * value) for value in (first_s, last_s, median(whole)))])
            verdicts.append(Target(f"first values of {steps:,}, ms", 1e3 * first_s, 1e3 * FIRST_S, at_most=True))
    return Table(["steps", "first values, p50 ms", "p99 ms", "all of /generate, p50 ms"], rows), verdicts


async def together(served: Served, calls: int) -> Timed:
    """Send `calls` values in all to /live, on `TOGETHER` connections at once. A tenth as many come first, uncounted."""
    url, took_s = served.url.replace("http", "ws") + "/live", list[float]()

    async def client(values: Iterable[float]) -> None:
        async with open_together(url) as connection:
            for value in values:
                began = time.perf_counter()
                await connection.send(repr(value))
                await connection.recv()
                took_s.append(time.perf_counter() - began)

    async def clients(count: int) -> None:
        await asyncio.gather(*(client(WAVE[: count // TOGETHER]) for _ in range(TOGETHER)))

    await clients(calls // 10)
    took_s.clear()
    before = served.family.cpu_seconds()
    await clients(calls)
    return Timed(took_s, (served.family.cpu_seconds() - before) / len(took_s))


def single_values(served: Served, calls: int) -> tuple[Table, list[Target]]:
    """Time one more value: on /live, from a state token, and with all values before it."""
    later = itertools.cycle(range(GIVEN, len(WAVE)))
    with httpx.Client(base_url=served.url) as client, connect(served.url.replace("http", "ws") + "/live") as socket_:
        answer = client.post("/predict", json={"sequence": WAVE[:GIVEN], "return_state": True}).json()

        def live() -> None:
            socket_.send(repr(WAVE[next(later)]))
            socket_.recv()

        def from_token() -> None:
            body = {"sequence": [WAVE[next(later)]], "state": answer["state"], "return_state": True}
            answer.update(client.post("/predict", json=body).raise_for_status().json())

        def whole() -> None:
            end = next(later)
            client.post("/predict", json={"sequence": WAVE[end - GIVEN : end]}).raise_for_status()

        kinds = {"/live": live, "/predict from a state token": from_token, "/predict of 64 values": whole}
        results = {name: timed(served, call, calls) for name, call in kinds.items()}
    results[f"/live, {TOGETHER} connections"] = asyncio.run(together(served, 4 * calls))
    rows = [[name, *result.cells()] for name, result in results.items()]
    columns = ["one more value", "p50, µs", "p99, µs", "µs of the server"]
    return Table(columns, rows), [
        Target(f"a value on {name}, µs of the server", 1e6 * result.cpu_s, 1e6 * VALUE_S, at_most=True)
        for name, result in results.items()
        if name.startswith("/live")
    ]


def slow_reader(served: Served, bytes_a_second: int) -> Table:
    """Measure the server's memory while one client reads the longest rollout slowly."""
    body = json.dumps({"sequence": WAVE[:GIVEN], "steps": STEPS[-1]}).encode()
    head = (
        b"POST /generate/stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    )
    address = urlsplit(served.url)
    resident = [memory.of(served.family)[0].resident_mb]
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)  # by default the kernel buffers megabytes
        reader.connect((address.hostname, address.port))
        reader.sendall(head + body)
        began, received, end = time.monotonic(), 0, b""
        while part := reader.recv(bytes_a_second // 20):
            received, end = received + len(part), (end + part)[-200:]
            time.sleep(max(0.0, began + received / bytes_a_second - time.monotonic()))
            resident.append(memory.of(served.family)[0].resident_mb)
    if b"event: done" not in end:
        raise RuntimeError("the stream did not end with done")
    seconds = time.monotonic() - began
    columns = ["reader, kB/s", "seconds", "MB read", "resident before, MB", "highest"]
    cells = [bytes_a_second / 1e3, seconds, received / 1e6, resident[0], max(resident)]
    return Table(columns, [[number(cell) for cell in cells]])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--calls", type=int, default=2000, help="number of calls of each kind, default: 2000")
    parser.add_argument("--reader", type=float, default=100, help="speed of the slow reader in kB/s, default: 100")
    options = parser.parse_args()
    peer = own(workers=1, max_steps=STEPS[-1])
    with serving(peer, environment(peer), DEFAULT_ARTIFACT) as served:
        first, verdicts = first_values(served, options.calls // 20)
        single, more = single_values(served, options.calls)
        slow = slow_reader(served, round(1e3 * options.reader))
    save("live", {"first": first, "single": single, "slow": slow, "targets": targets([*verdicts, *more])}, {})


if __name__ == "__main__":
    main()
