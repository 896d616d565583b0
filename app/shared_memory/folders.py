"""The folders of what all workers count, whose files they map into their memory."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.shared_memory.mapped_file import claim, is_claimed

METRICS_FOLDER, RATES_FOLDER = "SINE_METRICS_FOLDER", "SINE_RATES_FOLDER"
"""The environment variables that name the folders of the metrics, and of what each key has used of its limit. Not set:
the process is alone."""

_PREFIX = "sine-"


@contextmanager
def shared_folders() -> Iterator[None]:
    """New, empty folders for what all workers count, known to them by environment variables.

    They are removed at the end. Those of a service that was killed are removed by the next one that starts.
    """
    _remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as parent:
        owned = os.open(parent, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks
            claim(owned)  # before anything is in it: what is empty, nobody takes for abandoned
        for variable in (METRICS_FOLDER, RATES_FOLDER):
            folder = Path(parent) / variable
            folder.mkdir()
            os.environ[variable] = str(folder)
        yield
        os.close(owned)


def _remove_abandoned() -> None:
    for parent in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's
            if parent.lstat().st_uid == os.geteuid() and _is_abandoned(parent):
                shutil.rmtree(parent, ignore_errors=True)


def _is_abandoned(parent: Path) -> bool:
    """Whether nobody lives who has a lock in it: the process that made it has one on it, each worker on its metrics.

    A worker may outlive that process, by as long as it takes to finish what it has begun.
    """
    metrics = parent / METRICS_FOLDER
    return metrics.is_dir() and not any(map(_is_locked, [parent, *metrics.iterdir()]))


def _is_locked(path: Path) -> bool:
    file = os.open(path, os.O_RDONLY)
    try:
        return is_claimed(file)
    finally:
        os.close(file)
