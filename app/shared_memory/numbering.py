"""Names that come up while the service runs, numbered: the same in every worker, whichever of them meets a name first.

The numbers of a worker have fixed places (`app/telemetry/registry.py`), and the models that a reload will bring are not
known when those are made. So there are places for so many models, and this says which is whose.
"""

import fcntl
from pathlib import Path

import orjson


class TooManyNames(Exception):
    """There are no more numbers."""


class Numbering:
    """The names so far, in a file that all workers share."""

    def __init__(self, file: Path | None, most: int) -> None:
        """`file` is None for a process that is alone. It need not exist."""
        self.most = most
        self._file = file
        self._known: list[str] = []

    def known(self) -> list[str]:
        """All names, in the order of their numbers."""
        if self._file is not None and self._file.exists():
            self._known = [orjson.loads(line) for line in self._file.read_bytes().splitlines()]
        return self._known

    def number(self, name: str) -> int:
        """That of a name: the next one, where it is new. Raises TooManyNames if there is none left."""
        if self._file is None:
            self._add(name)
        else:
            with self._file.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
                if self._add(name):
                    file.write(orjson.dumps(name) + b"\n")
        return self.known().index(name)

    def _add(self, name: str) -> bool:
        """Add a name, and say whether it is new."""
        known = self.known()
        if name in known:
            return False
        if len(known) == self.most:
            raise TooManyNames(f"there have been {self.most} names of models, which is the most; restart the service")
        known.append(name)
        return True
