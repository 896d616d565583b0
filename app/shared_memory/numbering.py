"""Numbers for names that come up while the service runs. A name has the same number in every worker.

The numbers of a worker have fixed places (`app/telemetry/registry.py`), which are assigned before a reload brings new
models. So there are places for a fixed number of models, `SINE_MAX_MODELS`, and this module assigns them. Names have
any length, so they are in a plain file and not in mapped memory.
"""

import fcntl
from contextlib import nullcontext
from pathlib import Path

import orjson


class TooManyNames(Exception):
    """No number is left for another name. The message says what to do."""


class Numbering:
    """The known names, in a file that all workers share."""

    def __init__(self, file: Path | None, most: int) -> None:
        """There are at most `most` names. `file` need not exist; it is None for a process that is alone."""
        self._file, self._most = file, most
        self._known: list[str] = []

    def known(self) -> list[str]:
        """All names, in the order of their numbers."""
        if self._file is not None and self._file.exists():
            self._known = [*map(orjson.loads, self._file.read_bytes().splitlines())]
        return self._known

    def number(self, name: str) -> int:
        """The number of a name. A new name gets the next one. Raises TooManyNames if there is none left."""
        with nullcontext() if self._file is None else self._file.open("ab") as file:
            if file is not None:
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            known = self.known()
            if name not in known:
                if len(known) >= self._most:
                    raise TooManyNames(
                        f"the models had {self._most} names since the service was started, and SINE_MAX_MODELS allows "
                        "no more: restart the service, which forgets the names of models that have gone"
                    )
                known.append(name)
                if file is not None:
                    file.write(orjson.dumps(name) + b"\n")
            return known.index(name)
