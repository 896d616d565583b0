"""Compares our server, the floors and the peers under the same loads, and derives the project's targets."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from benchmarks.load import Measured
from benchmarks.report import Table, Target, number
from benchmarks.rounds import Entry, Load

OURS, ROUTED, BINARY = "ours", "ours through FastAPI", "ours-binary"
PREDICT_1, PREDICT_16, PREDICT_64 = Load(1), Load(16), Load(64)
GENERATE_16 = Load(16, steps=1000)
LOADS = (PREDICT_1, PREDICT_16, PREDICT_64, GENERATE_16)

_AT_LEAST = {
    "triton": 2.0,
    "litserve": 15.0,
    "bentoml": 15.0,
    "ray-serve-default": 100.0,
    "ray-serve": 100.0,
    "fastapi-plain": 10.0,
}


def load_table(entries: Mapping[str, Entry], load: Load) -> Table:
    """Tabulate one load: every measured server, the fastest first, and how much faster ours is."""
    results = {name: result for name, entry in entries.items() if (result := entry.result(load)) is not None}
    ours = results.get(OURS)
    rows = []
    for name, result in sorted(results.items(), key=lambda item: -item[1].rate):
        ratio = number(ours.rate / result.rate) if ours is not None and result.rate else ""
        rows.append([name, *result.cells(), number(result.cores), str(result.errors), ratio])
    return Table(["server", "answers/s", "p50, ms", "p99, ms", "cores", "errors", "ours / this"], rows)


def server_table(entries: Mapping[str, Entry]) -> Table:
    """Tabulate each server: its version, its workers, and the time and memory that it needs."""
    rows = []
    for name, entry in entries.items():
        if entry.start_s and entry.memory_mb:
            cells = [number(median(entry.start_s)), number(median(entry.memory_mb))]
            rows.append([name, entry.version, str(entry.peer.workers), *cells])
        else:
            rows.append([name, "did not run", "", "", ""])
    return Table(["server", "version", "workers", "start, s", "memory, MB"], rows)


def verdicts(entries: Mapping[str, Entry]) -> list[Target]:
    """Return the targets for which both servers were measured."""
    found = []

    def result(name: str, load: Load) -> Measured | None:
        return entries[name].result(load) if name in entries else None

    def ratio(work: str, name: str, load: Load, bound: float, ours: tuple[str, Load] | None = None) -> None:
        """Compare the rates of our server, or of `ours`, with that of a server."""
        mine, theirs = result(*(ours or (OURS, load))), result(name, load)
        if mine is not None and theirs is not None and theirs.rate > 0:
            found.append(Target(work, mine.rate / theirs.rate, bound))

    for name, bound in _AT_LEAST.items():
        ratio(f"{PREDICT_64}, against {name}", name, PREDICT_64, bound)
    ours, triton = result(OURS, PREDICT_1), result("triton", PREDICT_1)
    if ours is not None and triton is not None:
        found.append(Target("p50 of /predict, 1 connection, against triton", ours.p50_ms / triton.p50_ms, 0.25, True))
    for name, bound in (("triton-binary", 2.5), (OURS, 0.85)):
        work = f"V2 with binary tensors, 64 connections, against {name}"
        ratio(work, name, PREDICT_64, bound, ours=(BINARY, PREDICT_64))
    ratio("/predict, 16 connections, against 64", OURS, PREDICT_64, 0.85, ours=(OURS, PREDICT_16))
    ratio(f"{PREDICT_64}, against nginx with a constant", "floor-nginx", PREDICT_64, 0.5)
    ratio(f"{PREDICT_64}, against the raw ASGI floor", "floor-asgi", PREDICT_64, 0.6)
    ratio(f"{PREDICT_64}, hot path against FastAPI's routing", ROUTED, PREDICT_64, 2.5)
    ratio(f"{GENERATE_16}, against fastapi-plain", "fastapi-plain", GENERATE_16, 1000)
    ratio(f"{GENERATE_16}, against the raw ASGI floor", "floor-asgi", GENERATE_16, 0.45)
    return found
