"""The numbers of all workers. Each worker has its own, in a file of a shared folder, mapped into its memory.

A worker locks its file for as long as it lives, so others can tell that it is alive. After its death, the next worker
that starts continues with its file. So no number is lost, and there are never more files than there were workers at
once.
"""

import itertools
import logging
import mmap
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.shared_memory.mapped_file import MappedFile, claim, is_claimed

log = logging.getLogger(__name__)

_AGAIN_S = 1.0
"""Seconds until the folder is searched again for new workers."""

Numbers = npt.NDArray[np.float64]


class SharedValues:
    """The numbers of one worker, which only it writes, and those of all others, which it reads."""

    def __init__(self, folder: Path | None, places: int) -> None:
        """Each worker has `places` numbers. `folder` is shared by the workers; None is for a process that is alone.

        A worker that cannot write to the folder keeps its numbers to itself, and serves all the same.
        """
        self._folder, self._places = folder, places
        file = None if folder is None else _unclaimed_in(folder, places)
        self._path = file and file.path
        self.is_alone = file is None
        """True if no other process can see its numbers."""
        self.own: memoryview[float] = memoryview(bytearray(8 * places)).cast("d") if file is None else file.numbers
        self._others: list[memoryview[float]] = []
        self._looked_s = -_AGAIN_S

    def sums(self) -> tuple[Numbers, Numbers]:
        """The sums of the numbers of all workers that there ever were, and of those that are alive."""
        ever = np.array(self.own) if self.is_alone else np.zeros(self._places)
        now = ever.copy()
        for path in self._files():
            numbers = np.fromfile(path)
            if len(numbers) == self._places:  # not of a worker that is just starting
                ever += numbers
                if is_claimed(path):
                    now += numbers
        return ever, now

    def other_workers(self, place: int) -> list[float]:
        """One number of each other worker that is alive, or was a second ago. It takes a microsecond or two."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _AGAIN_S and not self.is_alone:
            self._looked_s = now_s
            self._others = [*filter(None, map(self._mapped, self._files() - {self._path}))]
        return [numbers[place] for numbers in self._others]

    def _files(self) -> set[Path]:
        return set() if self._folder is None else {*self._folder.glob("[0-9]*")}

    def _mapped(self, path: Path) -> "memoryview[float] | None":
        """The numbers of a living worker. None where it has died, is just starting, or its file cannot be read."""
        with suppress(OSError, ValueError), path.open("rb") as file:  # `mmap`: ValueError if the file is too short
            if is_claimed(path):
                return memoryview(mmap.mmap(file.fileno(), 8 * self._places, access=mmap.ACCESS_READ)).cast("d")
        return None


def _unclaimed_in(folder: Path, places: int) -> MappedFile | None:
    """Claim a file that no living worker has: that of a dead one, or a new one. None where that fails."""
    try:
        for number in itertools.count():
            file = MappedFile(folder / str(number), places)
            if claim(file.file):
                return file
    except OSError as error:
        log.warning("The metrics of this worker are not shared: %s", error.strerror)
    return None
