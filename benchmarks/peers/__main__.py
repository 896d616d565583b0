"""Compares this server with its peers: throughput, p50 and p99 on loopback, and the targets of the project.

Each round starts each server in turn. wrk sends /predict (50 values) over 1, 16 and 64 connections and /generate (1,000
steps) over 16. The script prints medians over the rounds. If other processes took more than 0.15 cores during a
measurement, it is repeated up to three times and then marked with a star. Missing environments of the peers are created
under .venv-peers/. Writes runs/bench/peers.json (--tune: tuning.json, --only: only.json) and, without --only, the
figures and the tables of docs/performance.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import document, figures, steps, wrk
from benchmarks.artifacts import untrained
from benchmarks.own import own
from benchmarks.peers import compare, dialects
from benchmarks.peers.environments import environment
from benchmarks.peers.registry import PEERS, VARIANTS, Peer, by_name, v2_binary
from benchmarks.peers.serving import PeerError, serving
from benchmarks.report import save, targets
from benchmarks.rounds import as_long_as_ours, measure
from model.artifact import ArtifactError, read_artifact


def chosen(names: list[str] | None, tune: bool, model: str = "untrained-rnn-32x1") -> list[Peer]:
    """Return the servers to measure, which serve `model`. Raise ValueError for an unknown name."""
    binary = replace(
        own(compare.BINARY),
        predict=v2_binary(model, "sequence"),
        read_prediction=dialects.read_v2_binary,
        generate=None,
    )
    ours = {peer.name: peer for peer in (own(compare.OURS), own(compare.ROUTED, hot_path=False), binary)}
    if names:
        return [ours.get(name) or by_name(name) for name in names]
    if tune:
        varied = {variant.name.partition(":")[0] for variant in VARIANTS}
        together = [peer for peer in (*PEERS, *VARIANTS) if peer.name.partition(":")[0] in varied]
        return sorted(together, key=lambda peer: peer.name)
    return [*ours.values(), *PEERS]


def check(peers: list[Peer], model: Path) -> int:
    """Start each peer once, check its answer, and stop it. Return the number of peers that fail."""
    failed = 0
    for peer in peers:
        try:
            with serving(peer, environment(peer), model) as served:
                print(f"{peer.name:22} {served.version:42} started in {served.start_s:.1f} s", flush=True)
        except (PeerError, wrk.WrkError, subprocess.CalledProcessError) as error:
            failed += 1
            print(f"{peer.name:22} FAILED: {error}", flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", help="measure only this server; may be repeated")
    parser.add_argument("--tune", action="store_true", help="compare the tunings of each peer instead")
    parser.add_argument("--check", action="store_true", help="only start each server and check its answer")
    parser.add_argument("--rounds", type=int, default=2, help="number of rounds, default: 2")
    parser.add_argument("--seconds", type=int, default=6, help="seconds of each measurement, default: 6")
    parser.add_argument(
        "--attempts", type=int, default=4, help="number of attempts at a disturbed measurement, default: 4"
    )
    parser.add_argument(
        "--model", type=Path, help="path of an artifact, default: an untrained network of 32 hidden units"
    )
    options = parser.parse_args()
    try:
        served = {"model": read_artifact(options.model).metadata.name} if options.model else {}
        peers = chosen(options.only, options.tune, **served)
    except (ValueError, ArtifactError) as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        model = options.model or untrained(Path(folder))
        if options.check:
            return min(check(peers, model), 1)
        floors = {
            floor.name: floor for floor in as_long_as_ours((peer for peer in peers if peer.is_floor), model, 1000)
        }
        peers = [floors.get(peer.name, peer) for peer in peers]
        loads = compare.LOADS[:3] if options.tune else compare.LOADS
        entries = measure(
            peers, loads, model, rounds=options.rounds, seconds=options.seconds, attempts=options.attempts
        )
    tables = {str(load): compare.load_table(entries, load) for load in loads}
    tables["servers"] = compare.server_table(entries)
    data: dict[str, object] = {name: entry.raw() for name, entry in entries.items()}
    if not options.tune:
        verdicts = compare.verdicts(entries)
        if not options.only:
            _, constant, data["steps"] = steps.compare(rounds=200)
            verdicts += constant
        tables["targets"] = targets(verdicts)
    save("only" if options.only else "tuning" if options.tune else "peers", tables, data)
    if not options.only:
        figures.main([])
        document.main([])
    return 1 if any(entry.failure for entry in entries.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
