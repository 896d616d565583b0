"""The digest file beside an artifact, and the replacement of both at once.

The digest file has the format of `sha256sum`. It may name several digests, and the artifact must have one of them: two
files cannot be replaced in one step, so the digest file names the old and the new artifact while the artifact changes.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory


def digest_path(path: Path) -> Path:
    """Return the path of the digest file that belongs to the artifact at `path`."""
    return path.with_name(path.name + ".sha256")


def recorded_digests(path: Path) -> set[str]:
    """Return the digests in the digest file of the artifact at `path`, in lower case.

    Raises:
        OSError: the digest file cannot be read.
    """
    lines = digest_path(path).read_bytes().decode("ascii", "replace").splitlines()  # a file's name may be any bytes
    return {words[0].lstrip("\\").lower() for line in lines if (words := line.split())}


def write_digest(path: Path, digest: str) -> None:
    """Write the digest file of the artifact at `path`."""
    digest_path(path).write_bytes(f"{digest}  ".encode() + os.fsencode(path.name) + b"\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path for a new artifact and its digest file, and then put both in the place of `path`.

    The new files are in a temporary folder beside `path`. It is removed in any case. An exception leaves the artifact
    at `path` as it was. The replacement has three steps, each of which is a rename:

    1. the digest file names the old and the new artifact;
    2. the new artifact is at `path`;
    3. the digest file names the new artifact alone.

    A crash between them leaves an artifact that its digest file names, so it is served: the old one after the first
    step, the new one after the second. Two programs that replace the same artifact take turns.

    Raises:
        OSError: something cannot be written; it names `path`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
            new = Path(folder) / path.name
            yield new
            with _alone_in(path.parent):
                _replace(new, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _replace(new: Path, path: Path) -> None:
    for file in (new, digest_path(new)):
        _flush(file)
    with suppress(FileNotFoundError):  # there is no artifact yet
        both = new.with_name("both")
        both.write_bytes(digest_path(path).read_bytes().rstrip() + b"\n" + digest_path(new).read_bytes())
        _flush(both)
        both.replace(digest_path(path))
    new.replace(path)
    digest_path(new).replace(digest_path(path))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other program replaces an artifact in `folder`, and keep others waiting."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _flush(file: Path) -> None:
    """Force a file's content to the disk, so that a loss of power leaves no empty file under its final name."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
