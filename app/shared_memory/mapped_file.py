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
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, self.file)
        # Not `truncate`: on a full disk, a write to the memory would then kill the process.
        os.posix_fallocate(self.file, 0, 8 * places)
        self.numbers = memoryview(mmap.mmap(self.file, 8 * places)).cast("d")
        """They may outlive this object. The mapping keeps the file open, and so a lock that `claim` has taken."""

    def __enter__(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)


def claim(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file for as long as it is open. False where another process holds it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_claimed(path: Path) -> bool:
    """Return whether a living process has claimed a file or a folder."""
    file = os.open(path, os.O_RDONLY)
    try:
        return not claim(file, fcntl.LOCK_SH)
    finally:
        os.close(file)
