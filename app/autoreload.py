"""`python -m app --reload`: run the service, and start it anew after each change of its Python files.

This is for people who develop it. Requests in progress are lost, and each start takes seconds. The page is read from
its files anyway, and a running service reads changed artifacts after SIGHUP.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from watchfiles import PythonFilter, run_process

OPTION = "--reload"

_FOLDERS = [Path(__file__).parent, Path(__file__).parents[1] / "model"]
_GRACE_S = 5
"""A service that does not stop within so many seconds is killed."""


def serve_and_reload(arguments: Sequence[str]) -> None:
    """Serve with the arguments of `python -m app` until SIGTERM or SIGINT."""
    others = [argument for argument in arguments if argument != OPTION]
    command = shlex.join([sys.executable, "-m", "app", *others])
    print(f"Watching {', '.join(folder.name for folder in _FOLDERS)} for changes of Python files", file=sys.stderr)
    run_process(
        *_FOLDERS,
        target=command,
        target_type="command",
        watch_filter=PythonFilter(),
        callback=_tell,
        sigint_timeout=_GRACE_S,
    )


def _tell(changes: object) -> None:
    print("Python files have changed: starting anew", file=sys.stderr)
