"""Audits the versions that constraints.txt pins: pip-audit asks OSV for known vulnerabilities.

If OSV cannot be reached, the script says so and ends with status 0, so that a machine without the internet can lint. If
it can be reached, pip-audit decides: a vulnerability ends with 1, and so does a failure of the audit. The script asks
OSV for anything first, because pip-audit's status does not tell a failure from a vulnerability.
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
"""`ACCEPTED` maps the id of each finding that does not apply here to the reason."""


def reachable(url: str) -> bool:
    """Tell whether a server answers there, with any status. The request uses a proxy that the environment names."""
    try:
        urlopen(url, timeout=TIMEOUT_S).close()  # noqa: S310 - always https, or an address that a test gives
    except HTTPError:
        return True
    except OSError:
        return False
    return True


def audit(url: str, pinned: Path) -> int:
    """Print the findings and return the status to end with, 0 or 1."""
    if not reachable(url):
        print(f"pip-audit: NOT AUDITED. {url} cannot be reached from here; run `make lint` where it can be.")
        return 0
    # Every version is pinned, so pip has nothing to resolve. pip-audit's default service, PyPI's, passes over packages
    # that an index mirror does not know. The option is -s, because argparse takes the word after --service for a path.
    command = ["pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "-s", "osv"]
    options = [*(f"--ignore-vuln={name}" for name in ACCEPTED), "--osv-url", url, "-r", str(pinned)]
    return min(1, subprocess.run([sys.executable, "-m", *command, *options]).returncode)  # noqa: S603 - the command above


def main(arguments: Sequence[str]) -> int:
    """Audit. `arguments` can be the address of another service, and then another file."""
    url, pinned = [*arguments, *(OSV, CONSTRAINTS)[len(arguments) :]]
    return audit(str(url), Path(pinned))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
