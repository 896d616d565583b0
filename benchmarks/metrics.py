"""The cost of metrics: answers a second of /predict with our own counters, and with those of prometheus_client.

Both servers are this service. One counts in its own shared memory, as `python -m app` does, the other by
prometheus_client in multiprocess mode (`benchmarks/prometheus_metrics.py`). They are measured in interleaved rounds. A
star marks a measurement during which something else took more than 0.15 cores. docs/decisions/metrics.md is about it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.artifacts import untrained
from benchmarks.own import own
from benchmarks.report import Table, number, save
from benchmarks.rounds import Load, measure

LOADS = (Load(1), Load(16), Load(64))
BY_HAND, PROMETHEUS = "counted by hand", "prometheus_client"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement, default: 5")
    options = parser.parse_args(arguments)
    peers = [own(BY_HAND), own(PROMETHEUS, "benchmarks.prometheus_metrics")]
    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        entries = measure(peers, LOADS, untrained(Path(folder)), rounds=options.rounds, seconds=options.seconds)
    table = Table(["load", f"{BY_HAND}, answers/s", f"{PROMETHEUS}, answers/s", "ratio", "µs a request", "µs"], [])
    for load in LOADS:
        ours, theirs = entries[BY_HAND].result(load), entries[PROMETHEUS].result(load)
        if ours is not None and theirs is not None:
            ratio = f"{theirs.rate / ours.rate:.3f}"
            rates, costs = (ours.cells()[0], theirs.cells()[0]), (number(ours.cpu_us), number(theirs.cpu_us))
            table.rows.append([str(load), *rates, ratio, *costs])
    save("metrics", {"metrics": table}, {name: entry.raw() for name, entry in entries.items()})


if __name__ == "__main__":
    main()
