"""Runs all benchmarks of this project's own server and kernel, draws the figures and fills the docs.

`python -m benchmarks.peers` compares the server with others; it needs environments of its own. Run the benchmarks on a
machine that does nothing else. They take about eight minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.report import ROOT

_SCRIPTS = (
    "tanh_fit",
    "kernel",
    "steps",
    "shipped",
    "layers",
    "startup",
    "server",
    "live",
    "sweeps",
    "figures",
    "document",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=_SCRIPTS, action="append", help="run only this script; may be repeated")
    failed = 0
    for script in parser.parse_args().only or _SCRIPTS:
        # Each script has its own process, so its imports and allocations do not affect the next measurement.
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{script}"], cwd=ROOT, check=False).returncode != 0  # noqa: S603
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
