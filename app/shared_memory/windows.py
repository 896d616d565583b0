"""What the owners of keys have used of their limit, counted by all workers together.

The `limits` library counts by a sliding window: the steps of this window of time, and of the one before as much as is
left of it. Its own counters in memory would be each worker's own, and a client whose connections all are in one worker
would get less than another; its shared ones need a Redis or its like. So here is a third kind of store for it: files
that all workers map into their memory. Several machines, each with a service, have each a limit of its own.
"""

import hashlib
import shutil
import tempfile
import weakref
from pathlib import Path

from limits.storage import MemoryStorage

from app.shared_memory.mapped_file import MappedFile

_WINDOWS = 3
"""Of which a file has the counters: the one before, this one, and one that is no longer used."""


class SharedWindows(MemoryStorage):
    """The counters of `limits`' sliding windows, in a file for each owner. Whoever changes one holds its lock.

    What decides is the library's; it counts by `get`, `incr` and `decr`, with the number of the window behind the key.
    """

    STORAGE_SCHEME = ["sine"]  # noqa: RUF012 - as the library declares it

    def __init__(self, folder: Path | None) -> None:
        """`folder` is what the workers share; None for a process that is alone."""
        super().__init__()
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="sine-rates-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder
        self._files: dict[str, MappedFile] = {}

    def get(self, key: str) -> int:
        """See `limits.storage.Storage`."""
        file, place, window = self._counter(key)
        return int(file.numbers[place + 1]) if file.numbers[place] == window else 0

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """See `limits.storage.Storage`."""
        file, place, window = self._counter(key)
        numbers = file.numbers
        with file:
            if numbers[place] != window:
                numbers[place + 1] = 0  # first, because `get` takes no lock
                numbers[place] = window
            numbers[place + 1] += amount
            return int(numbers[place + 1])

    def decr(self, key: str, amount: int = 1) -> int:
        """See `limits.storage.MemoryStorage`."""
        return self.incr(key, 0, -amount)

    def _counter(self, key: str) -> tuple[MappedFile, int, int]:
        """The file of a key, where in it the counter of the key's window is, and the window."""
        name, _, number = key.rpartition("/")
        file = self._files.get(name)
        if file is None:
            path = self._folder / hashlib.sha256(name.encode()).hexdigest()
            file = self._files[name] = MappedFile(path, 2 * _WINDOWS)
        window = int(number)
        return file, 2 * (window % _WINDOWS), window
