"""Measures this project's own server and kernel, one script after the other, then draws the figures and fills the docs.

The comparison with other servers is `python -m benchmarks.peers`, which needs environments of its own. To be run on a
machine that has nothing else to do: about eight minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.report import ROOT

_SCRIPTS = ("tanh_fit", "kernel", "steps", "layers", "startup", "server", "live", "sweeps", "figures", "document")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=_SCRIPTS, action="append", help="run this one; may be repeated")
    failed = 0
    for script in parser.parse_args().only or _SCRIPTS:
        # Each in a process of its own: what one imports and allocates is not measured by the next.
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{script}"], cwd=ROOT, check=False).returncode != 0  # noqa: S603
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
