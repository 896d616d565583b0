"""`python -m benchmarks.peers --check --model PATH [NAME ...]`: makes, starts, checks and briefly drives each peer."""

from __future__ import annotations

import argparse
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import wrk
from benchmarks.peers.registry import PEERS, ROOT, Peer, PeerError, Served, by_name, sample, serving


def environment(peer: Peer) -> Path:
    """The python of the peer's environment, which is made first if it is missing or its requirements have changed."""
    folder = ROOT / ".venv-peers" / peer.requirements
    requirements = Path(__file__).with_name(f"requirements-{peer.requirements}.txt")
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if done.exists() and done.read_text() == requirements.read_text():
        return python
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)  # noqa: S603
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)  # noqa: S603
    done.write_text(requirements.read_text())
    print(f"{folder.relative_to(ROOT)}: installed in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return python


def foreign_cores(served: Served, before: tuple[float, float, float], seconds: float) -> float:
    """Cores that were busy with neither the peer nor wrk. Much above 0.1, the measurement is not to be used."""
    machine, peer, own = (now - then for now, then in zip(clocks(served), before, strict=True))
    return (machine - peer - own) / seconds


def clocks(served: Served) -> tuple[float, float, float]:
    """Processor seconds so far of: the machine, the peer, and the children of this process that have ended (wrk)."""
    ticks = [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    return busy, served.cpu_seconds(), children.ru_utime + children.ru_stime


def check(peer: Peer, model: Path) -> str:
    python = environment(peer)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(peer, python, port, model) as served:
        url, body = served.url + peer.predict.path, peer.predict.body(sample())
        wrk.run(url, body, peer.predict.headers, 16, 1, method=peer.predict.method)
        before = clocks(served)
        result = wrk.run(url, body, peer.predict.headers, 16, 3, method=peer.predict.method)
        foreign = foreign_cores(served, before, 3)
        return (
            f"{peer.name:14} {served.version:42} {result.requests_per_second:8.0f} req/s  p50 {result.p50_ms:7.2f} ms  "
            f"p99 {result.p99_ms:7.2f} ms  errors {result.errors + result.non_2xx}  start {served.start_s:.1f} s  "
            f"others' load {foreign:.2f} cores"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--check", action="store_true", required=True)
    parser.add_argument("--model", type=Path, help="a TorchScript file")
    arguments = parser.parse_args()
    if arguments.model is None or not arguments.model.is_file():
        parser.error("--model PATH must name a TorchScript file")
    try:
        peers = [by_name(name) for name in arguments.names] or list(PEERS)
    except ValueError as error:
        parser.error(str(error))
    failed = 0
    for peer in peers:
        try:
            print(check(peer, arguments.model), flush=True)
        except (PeerError, wrk.WrkError, subprocess.CalledProcessError) as error:
            failed += 1
            print(f"{peer.name:14} FAILED: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
