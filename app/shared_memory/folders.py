"""The folders that all workers share, for their metrics and for the quotas of keys."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from app.shared_memory.mapped_file import claim, is_claimed

METRICS_FOLDER, RATES_FOLDER = "SINE_METRICS_FOLDER", "SINE_RATES_FOLDER"
"""The environment variables that name the folder of the metrics, and the folder of what each owner of a key has used.
They are not set where the process is alone."""

_PREFIX = "sine-"


class NoSharedFolder(OSError):
    """The folders cannot be made. The message is one line that says why, and what to do."""


@contextmanager
def shared_folders() -> Iterator[None]:
    """Make new, empty folders, and name them to all workers by environment variables.

    The folders are removed at the end. If a service is killed, the next one that starts removes its folders.

    Raises:
        NoSharedFolder: the folders cannot be made.
    """
    with ExitStack() as stack:
        try:
            _remove_abandoned()
            parent = stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True))
            owned = os.open(parent, os.O_RDONLY)
            stack.callback(os.close, owned)
            with suppress(OSError):  # a file system without locks
                claim(owned)  # while it is empty: no other service takes an empty folder for abandoned
            for variable in (METRICS_FOLDER, RATES_FOLDER):
                folder = Path(parent) / variable
                folder.mkdir()
                os.environ[variable] = str(folder)
        except OSError as error:
            why = f"no folder for what the workers share can be made: {error}: TMPDIR can name another place for it"
            raise NoSharedFolder(why) from error
        yield


def _remove_abandoned() -> None:
    """Remove each folder without a lock of a living process. Its maker locks the folder, and each worker its metrics.

    A worker may outlive the maker, until it has finished what it has begun.
    """
    for parent in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        metrics = parent / METRICS_FOLDER
        with suppress(OSError):  # it may be another user's
            is_service = parent.lstat().st_uid == os.geteuid() and metrics.is_dir()
            if is_service and not any(map(is_claimed, [parent, *metrics.iterdir()])):
                shutil.rmtree(parent, ignore_errors=True)
