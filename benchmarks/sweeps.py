"""Measures how our server's speed depends on steps, length of the sequence, hidden size and number of connections.

One server at a time runs under wrk. One connection sends 1 to 100,000 steps (SINE_MAX_STEPS raised) and sequences of 1
to 4,096 values. Under load, hidden sizes are 8 to 256 and connections 1 to 512. The memory of a worker is read after
the heaviest load.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import memory
from benchmarks.artifacts import untrained
from benchmarks.load import Measured, drive
from benchmarks.own import own
from benchmarks.peers.environments import environment
from benchmarks.peers.serving import Served, serving
from benchmarks.report import Table, number, save
from benchmarks.rounds import Load

STEPS = (1, 10, 100, 1000, 10_000, 100_000)
LENGTHS = (1, 10, 50, 100, 500, 1000, 4096)
HIDDEN = (8, 16, 32, 64, 128, 256)
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def _drive(served: Served, loads: Iterable[Load], seconds: int) -> list[Measured]:
    measured = []
    for load in loads:
        call = load.call(own())
        if call is None:
            raise ValueError("the server has no /generate")
        measured.append(drive(served, call, load.body(call), load.connections, seconds))
    return measured


def _table(what: str, values: Sequence[int], measured: Sequence[Measured]) -> Table:
    rows = [[f"{value:,}", *one.cells()] for value, one in zip(values, measured, strict=True)]
    return Table([what, "answers/s", "p50, ms", "p99, ms"], rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="seconds of each measurement, default: 3")
    seconds = parser.parse_args(arguments).seconds
    peer = own(max_steps=max(STEPS))
    with tempfile.TemporaryDirectory(prefix="sweeps-") as folder:
        with serving(peer, environment(peer), untrained(Path(folder))) as served:
            by_steps = _drive(served, (Load(1, steps=steps) for steps in STEPS), seconds)
            by_length = _drive(served, (Load(1, length=length) for length in LENGTHS), seconds)
            by_connections = _drive(served, (Load(connections) for connections in CONNECTIONS), seconds)
            worker = memory.of(served.family)[0]
        by_hidden: dict[str, list[Measured]] = {"/predict": [], "/generate": []}
        for hidden in HIDDEN:
            with serving(own(), environment(own()), untrained(Path(folder), hidden)) as served:
                predict, generate = _drive(served, (Load(64), Load(16, steps=1000)), seconds)
                by_hidden["/predict"].append(predict)
                by_hidden["/generate"].append(generate)
    hidden_table = Table(
        ["hidden units", "/predict, 64 connections, answers/s", "/generate 1,000, 16 connections, answers/s"],
        [
            [str(hidden), predict.cells()[0], generate.cells()[0]]
            for hidden, predict, generate in zip(HIDDEN, *by_hidden.values(), strict=True)
        ],
    )
    save(
        "sweeps",
        {
            "steps": _table("steps of /generate, 1 connection", STEPS, by_steps),
            "length": _table("values to /predict, 1 connection", LENGTHS, by_length),
            "hidden": hidden_table,
            "connections": _table("connections to /predict", CONNECTIONS, by_connections),
            "memory": Table(
                ["after all of that", "resident, MB", "proportional, MB"],
                [["the largest worker", number(worker.resident_mb), number(worker.proportional_mb)]],
            ),
        },
        {
            "steps": dict(zip(STEPS, map(asdict, by_steps), strict=True)),
            "length": dict(zip(LENGTHS, map(asdict, by_length), strict=True)),
            "connections": dict(zip(CONNECTIONS, map(asdict, by_connections), strict=True)),
            "hidden": {
                kind: dict(zip(HIDDEN, map(asdict, several), strict=True)) for kind, several in by_hidden.items()
            },
            "memory": asdict(worker),
        },
    )


if __name__ == "__main__":
    main()
