"""A file of numbers that several processes map into their memory. All of them see what one of them writes."""

import fcntl
import mmap
import os
import weakref
from pathlib import Path


class MappedFile:
    """Numbers of type float64, which hold integers up to 2**53 exactly. `with` locks them."""

    def __init__(self, path: Path, places: int) -> None:
        """Open a file of so many places, or make one, filled with zeros. Raises OSError where that fails."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, self._file)
        # Not `truncate`: on a full disk, a write to the memory would then kill the process.
        os.posix_fallocate(self._file, 0, 8 * places)
        self.numbers = memoryview(mmap.mmap(self._file, 8 * places)).cast("d")
        """They may outlive this object, and so does the lock that `claim` takes: the mapping keeps the file open."""

    def claim(self) -> bool:
        """Lock the file for as long as its numbers are in use. False where another process holds it."""
        return claim(self._file)

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)


def claim(file: int) -> bool:
    """Lock an open file for as long as it is open. False where another process holds it."""
    return _lock(file, fcntl.LOCK_EX)


def is_claimed(file: int) -> bool:
    """Whether a living process has claimed an open file. Where none has, this keeps others out until it is closed."""
    return not _lock(file, fcntl.LOCK_SH)


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
