"""A storage for the `limits` library: counters of sliding windows, shared by all workers.

The library counts by a sliding window: the steps in this window of time, plus a part of those in the previous one. Its
counters in memory belong to one worker each, so a client whose connections are all in one worker would get less than
another. Its shared counters need a server such as Redis. So these are in files that all workers map into their memory.
If several machines serve, each has a limit of its own.
"""

import hashlib
import shutil
import tempfile
import weakref
from pathlib import Path

from limits.storage import MemoryStorage

from app.shared_memory.mapped_file import MappedFile

_WINDOWS = 3
"""The number of windows with counters in a file: the previous one, this one, and one that is no longer used."""


class SharedWindows(MemoryStorage):
    """The counters of sliding windows, in a file for each owner. A counter is changed under the lock of its file.

    The library decides. It counts by `get`, `incr` and `decr`, and appends the number of the window to the key.
    """

    STORAGE_SCHEME = ["sine"]  # noqa: RUF012 - as the library declares it

    def __init__(self, folder: Path | None) -> None:
        """`folder` is shared by the workers; None is for a process that is alone."""
        super().__init__()
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="sine-rates-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder
        self._files: dict[str, MappedFile] = {}

    def get(self, key: str) -> int:
        file, place, window = self._counter(key)
        return int(file.numbers[place + 1]) if file.numbers[place] == window else 0

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        file, place, window = self._counter(key)
        with file:
            if file.numbers[place] != window:
                file.numbers[place + 1] = 0  # first, because `get` takes no lock
                file.numbers[place] = window
            file.numbers[place + 1] += amount
            return int(file.numbers[place + 1])

    def decr(self, key: str, amount: int = 1) -> int:
        return self.incr(key, 0, -amount)

    def _counter(self, key: str) -> tuple[MappedFile, int, int]:
        """The file of a key, the place in it for the key's window, and the number of the window."""
        name, _, number = key.rpartition("/")
        if name not in self._files:
            path = self._folder / hashlib.sha256(name.encode()).hexdigest()
            self._files[name] = MappedFile(path, 2 * _WINDOWS)
        window = int(number)
        return self._files[name], 2 * (window % _WINDOWS), window
