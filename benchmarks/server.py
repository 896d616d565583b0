"""Measures our own server: the hot path, the distance to the limit of any Python server, and fairness.

Interleaved rounds compare this server, the same server answering through FastAPI's routing (SINE_HOT_PATH=false), the
same server on uvicorn's own protocol, and the floor. (app/server/coalescing.py and app/server/inline.py describe how
our protocol differs.) The floor is raw ASGI with the same validation and as many workers. It answers a constant, of the
same length for /generate. Then the p99 of /predict on one connection is measured twice: alone, and beside another
connection that requests rollouts of 10,000 steps without pause. With one worker, both connections are that worker's. A
star marks measurements during which other processes took more than 0.15 cores.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import wrk
from benchmarks.artifacts import untrained
from benchmarks.load import Measured, drive, medians
from benchmarks.own import own
from benchmarks.peers.environments import environment
from benchmarks.peers.registry import by_name
from benchmarks.peers.serving import Served, serving
from benchmarks.report import Table, Target, number, save, targets
from benchmarks.rounds import Entry, Load, as_long_as_ours, measure

PREDICT_1, PREDICT_64, GENERATE_16 = Load(1), Load(64), Load(16, steps=1000)
LONG = Load(1, steps=10_000)
ROUTED = "ours through FastAPI"
APART = "ours on uvicorn's own protocol"


def beside_rollouts(served: Served, seconds: int) -> Measured:
    """Measure /predict on one connection while another connection requests one long rollout after the other."""
    call = own().generate
    if call is None:
        raise ValueError("the server has no /generate")
    url, body = served.url + call.path, LONG.body(call)
    # The rollouts begin before the measurement and end after it.
    other = threading.Thread(target=wrk.run, args=(url, body, call.headers, 1, seconds + 3))
    other.start()
    time.sleep(1)
    try:
        return drive(served, own().predict, PREDICT_1.body(own().predict), 1, seconds, attempts=1, warm_s=0)
    finally:
        other.join()


def fairness(model: Path, workers: int, rounds: int, seconds: int) -> tuple[Measured, Measured]:
    """Measure /predict alone and beside the rollouts, in alternating rounds. Return the medians of both."""
    alone, beside = [], []
    peer = own(workers=workers)
    with serving(peer, environment(peer), model) as served:
        for _ in range(rounds):
            alone.append(drive(served, peer.predict, PREDICT_1.body(peer.predict), 1, seconds))
            beside.append(beside_rollouts(served, seconds))
    return medians(alone), medians(beside)


def load_rows(entries: dict[str, Entry], loads: Sequence[Load]) -> list[list[str]]:
    """Return a row for each server and load that was measured."""
    rows = []
    for load in loads:
        for name, entry in entries.items():
            if (result := entry.result(load)) is not None:
                rows.append(
                    [
                        f"{load}: {name}",
                        *result.cells(),
                        number(result.cores),
                        number(result.cpu_us),
                        str(result.errors),
                    ]
                )
    return rows


def rate(entries: dict[str, Entry], name: str, load: Load) -> float:
    """Return the answers a second; 0 for a load that was not measured."""
    result = entries[name].result(load) if name in entries else None
    return result.rate if result is not None else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds, default: 3")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of each measurement, default: 5")
    options = parser.parse_args(arguments)
    loads = (PREDICT_1, PREDICT_64, GENERATE_16)
    with tempfile.TemporaryDirectory(prefix="server-") as folder:
        model = untrained(Path(folder))
        floors = as_long_as_ours([by_name("floor-asgi"), by_name("floor-fastapi")], model, 1000)
        peers = [own(), own(ROUTED, hot_path=False), own(APART, http="uvicorn"), *floors]
        entries = measure(peers, loads, model, rounds=options.rounds, seconds=options.seconds)
        shared = {workers: fairness(model, workers, options.rounds, options.seconds) for workers in (1, 2)}

    verdicts = [
        Target(
            f"hot path against FastAPI's routing, {load}",
            rate(entries, "ours", load) / max(rate(entries, ROUTED, load), 1e-9),
            2.5,
        )
        for load in (PREDICT_64,)
    ]
    for load, bound in ((PREDICT_64, 0.6), (GENERATE_16, 0.45)):
        floor = max(rate(entries, "floor-asgi", load), 1e-9)
        verdicts.append(Target(f"against the raw ASGI floor, {load}", rate(entries, "ours", load) / floor, bound))
    fair = Table(["p99 of /predict, 1 connection", "alone, ms", "beside 10,000-step rollouts, ms", "factor"], [])
    for workers, (alone, beside) in shared.items():
        factor = beside.p99_ms / alone.p99_ms
        name = f"{workers} worker{'s' if workers > 1 else ''}"
        fair.rows.append([name, number(alone.p99_ms), number(beside.p99_ms), number(factor)])
        verdicts.append(Target(f"p99 beside long rollouts, {name}", factor, 2, at_most=True))
    columns = ["load: server", "answers/s", "p50, ms", "p99, ms", "cores", "µs of them a request", "errors"]
    save(
        "server",
        {"loads": Table(columns, load_rows(entries, loads)), "fairness": fair, "targets": targets(verdicts)},
        {
            "loads": {name: entry.raw() for name, entry in entries.items()},
            "fairness": {
                workers: {"alone": asdict(alone), "beside": asdict(beside)}
                for workers, (alone, beside) in shared.items()
            },
        },
    )


if __name__ == "__main__":
    main()
