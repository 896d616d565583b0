"""Whether a known vulnerability is in one of the versions that constraints.txt pins, as OSV knows them: pip-audit asks.

Where OSV cannot be reached, nothing is known, and this says so and ends with 0: a machine without the internet can
lint. Where it can be reached, what pip-audit says is the verdict: a finding, or a failure of its own, ends with 1. The
two are told apart before, by asking OSV for anything at all, because a failed audit and a found hole look alike in
pip-audit's status.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

OSV = "https://api.osv.dev/v1/query"
TIMEOUT_S = 5
CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"

ACCEPTED: dict[str, str] = {}
"""Findings that are none here, by their id, and why."""


def reachable(url: str) -> bool:
    """Whether anything answers there, whatever it says; through a proxy where the environment names one."""
    try:
        urlopen(url, timeout=TIMEOUT_S).close()  # noqa: S310 - always https, or what a test gives
    except HTTPError:
        return True
    except OSError:
        return False
    return True


def audit(url: str, pinned: Path) -> int:
    """The status to end with."""
    if not reachable(url):
        print(f"pip-audit: NOT AUDITED. {url} cannot be reached from here; run `make lint` where it can be.")
        return 0
    # Every version is pinned, so pip has nothing to resolve. pip-audit's default, PyPI's own service, would pass over
    # what an index mirror does not know.
    # -s, because argparse takes what follows --service for the path of a project.
    command = ["pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "-s", "osv"]
    options = [*(f"--ignore-vuln={name}" for name in ACCEPTED), "--osv-url", url, "-r", str(pinned)]
    return min(1, subprocess.run([sys.executable, "-m", *command, *options]).returncode)  # noqa: S603 - the command above


def main(arguments: Sequence[str]) -> int:
    """`arguments` may be another service's address, and another file."""
    url, pinned = [*arguments, *(OSV, CONSTRAINTS)[len(arguments) :]]
    return audit(str(url), Path(pinned))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
