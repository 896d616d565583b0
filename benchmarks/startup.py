"""Measures the seconds from the start of `python -m app` to the first 200 of /readyz, and the memory of its processes.

A cold start has an empty cache of compiled kernels; a warm start has the cache that a cold start left. The first ready
worker answers /readyz. Memory is read when all workers are idle. Proportional memory splits a shared page among the
processes that share it, so its sum over all processes is the memory of the service.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from benchmarks import memory
from benchmarks.artifacts import untrained
from benchmarks.own import own
from benchmarks.peers.environments import environment
from benchmarks.peers.serving import serving
from benchmarks.report import Table, number, save


def start(model: Path, cache: Path, workers: int) -> tuple[float, list[memory.Memory]]:
    """Start and stop the server once. Return its seconds to readiness and its processes."""
    peer = own(workers=workers)
    peer = replace(peer, environment={**peer.environment, "NUMBA_CACHE_DIR": str(cache)})
    with serving(peer, environment(peer), model) as served:
        return served.ready_s, memory.of(served.family)


def _role(process: memory.Memory, processes: Sequence[memory.Memory]) -> str:
    if "resource_tracker" in process.command:
        return "multiprocessing's tracker"
    commands = {each.pid: each.command for each in processes}
    if len(processes) == 1 or "forkserver" in commands.get(process.parent, ""):
        return "worker"
    return "forkserver" if "forkserver" in process.command else "supervisor"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="number of starts of each kind, default: 5")
    parser.add_argument(
        "--model", type=Path, help="path of an artifact, default: an untrained network of 32 hidden units"
    )
    options = parser.parse_args(arguments)
    times, sizes = (
        Table(["start", "least, s", "median, s"], []),
        Table(["process", "resident, MB", "proportional, MB"], []),
    )
    data: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="startup-") as name:
        folder = Path(name)
        model = options.model or untrained(folder)
        for workers in (1, 2):
            caches = [folder / f"cache-{workers}-{repeat}" for repeat in range(options.repeats)]
            cold = [start(model, cache, workers)[0] for cache in caches]
            warm: list[float] = []
            processes: list[memory.Memory] = []
            for cache in caches:
                ready_s, processes = start(model, cache, workers)
                warm.append(ready_s)
            plural = f"{workers} worker{'s' if workers > 1 else ''}"
            times.rows.append([f"cold, {plural}", number(min(cold)), number(median(cold))])
            times.rows.append([f"warm, {plural}", number(min(warm)), number(median(warm))])
            for process in processes:
                cells = [number(process.resident_mb), number(process.proportional_mb)]
                sizes.rows.append([f"{plural}: {_role(process, processes)}", *cells])
            total = sum(process.proportional_mb for process in processes)
            sizes.rows.append([f"{plural}: sum", "", number(total)])
            data[plural] = {"cold_s": cold, "warm_s": warm, "memory": [asdict(process) for process in processes]}
    save("startup", {"times": times, "memory": sizes}, data)


if __name__ == "__main__":
    main()
