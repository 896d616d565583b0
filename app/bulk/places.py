"""The files of a run: the parts of its input, and the files that are made of each.

    IN          OUT             refused series              scores of a backtest      manifest
    FILE        NAME.csv        NAME_refused.csv            NAME_scores.csv           NAME_manifest.json
    folder      OUT/PART.csv    OUT/_refused/PART.csv       OUT/_scores/PART.csv      OUT/_manifest.json

Programs that read folders of tables leave out names that begin with `_` or a dot.
"""

import hashlib
import os
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.bulk.options import WrongOption
from app.bulk.remote import RemotePath
from model.series.table import SeriesError, read_content

PARQUET, CSV = (".parquet", ".pq"), (".csv",)
STANDARD_OUTPUT = "-"

_TYPES = "names of tables end in .csv or .parquet"


@dataclass(frozen=True)
class Part:
    """One part of the input, and the files that it becomes."""

    source: Path
    target: Path
    """The forecasts. It is written last, so a part whose target exists is done."""

    refused: Path
    scores: Path


@dataclass(frozen=True)
class Places:
    """The files of a run."""

    parts: list[Part]
    manifest: Path
    beside: list[Path]
    """The files or folders of refused series and of scores."""


def places(source: Path, out: Path) -> Places:
    """Return the files of a run from a file to a file, or from a folder to a folder.

    Raises:
        WrongOption: a name does not say the type of its table, the folder has other files, or none, or the run would
            write over its input.
    """
    if not source.is_dir():
        if out.is_dir() or out.suffix not in (*PARQUET, *CSV):
            raise WrongOption(f"{out}: {source} is a file, so OUT has to be a file too; {_TYPES}")
        return _of_file(source, out)
    if out.suffix in (*PARQUET, *CSV) or (out.exists() and not out.is_dir()):
        raise WrongOption(f"{out}: {source} is a folder, so OUT has to be one too")
    beside = [out / "_refused", out / "_scores"]
    if source.resolve() in [folder.resolve() for folder in (out, *beside)]:
        raise WrongOption(f"{out}: OUT has to be another folder than IN")
    if out.resolve().is_relative_to(source.resolve()):
        below = out.resolve().relative_to(source.resolve()).parts[0]
        if not below.startswith(("_", ".")):
            raise WrongOption(f"{out}: OUT lies in IN, of which {below} would be a part; choose a folder outside of it")
    found = sorted(path for path in source.iterdir() if not path.name.startswith(("_", ".")))
    names = {path: path.name.removesuffix(".gz") for path in found}
    stems = Counter(map(series_of, found))
    for path, name in names.items():
        if path.is_dir() or Path(name).suffix not in (*PARQUET, *CSV):
            raise WrongOption(f"{path}: a folder of parts has tables alone; {_TYPES} (.csv.gz too)")
        if stems[series_of(path)] > 1:
            raise WrongOption(f"{path}: two parts are called {series_of(path)}; their names have to differ before .csv")
    if not names:
        raise WrongOption(f"{source}: there is no part in this folder; {_TYPES}")
    parts = [
        Part(path, out / name, out / "_refused" / f"{Path(name).stem}.csv", out / "_scores" / name)
        for path, name in names.items()
    ]
    return Places(parts, out / "_manifest.json", beside)


def series_of(path: Path) -> str:
    """Return the name of the series of a file without ids: that of the file, without its type."""
    return Path(path.name.removesuffix(".gz")).stem


def _of_file(source: Path, out: Path) -> Places:
    refused = out.with_name(f"{out.stem}_refused.csv")
    scores = out.with_name(f"{out.stem}_scores{out.suffix}")
    manifest = out.with_name(f"{out.stem}_manifest.json")
    for path in (out, refused, scores, manifest):
        if type(path) is type(source) and path.exists() and source.exists() and path.samefile(source):
            raise WrongOption(f"{out}: the run would write over its input, {source}; choose another name for OUT")
    return Places([Part(source, out, refused, scores)], manifest, [refused, scores])


@contextmanager
def rereadable(source: Path) -> Iterator[Path]:
    """Yield the path of a file or folder as it is, and that of a copy for a pipe, which can be read only once.

    Raises:
        SeriesError: the pipe cannot be read, or the copy cannot be used. The message names the pipe.
    """
    if isinstance(source, RemotePath) or not (source.is_fifo() or source.is_char_device() or source.is_socket()):
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / source.name
        copy.write_bytes(read_content(source))
        try:
            yield copy
        except SeriesError as error:
            raise SeriesError(str(error).replace(str(copy), str(source))) from None


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Yield the path of a new file, and rename it to `path` at the end. A remote file is sent as a whole instead.

    A rename has no moment at which the file is half there. Two runs may write the same file at once: each writes under
    a name of its own, and both write the same bytes. Files that a killed process of this machine left are removed.
    """
    if isinstance(path, RemotePath):
        with tempfile.TemporaryDirectory() as folder:
            yield (new := Path(folder) / path.name)
            path.write_bytes(new.read_bytes())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".*.{_machine()}-*.new"):
        if not _lives(int(left.name.removesuffix(".new").rpartition("-")[2])):
            left.unlink(missing_ok=True)
    new = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.new")
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """Return a name of the processes among which a process id is unique: those of a container, or of a machine."""
    try:
        where = Path("/proc/sys/kernel/random/boot_id").read_text() + str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        where = socket.gethostname()
    return hashlib.sha256(where.encode()).hexdigest()[:16]


def _lives(process: int) -> bool:
    """Return whether a process of this id runs on this machine. One that has ended may still be listed as a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:  # there is no such process, it belongs to another user, or this is not Linux
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        pass
    return True
