"""A file as a table of columns. The first bytes of the file tell its type, and its name is taken literally.

Rows of a CSV file are counted as lines in an editor, from 1 with the header. Rows of a Parquet file are counted from 1.
"""

import codecs
import csv
import gzip
import io
import operator
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PanicException, PolarsError

MISSING = ("", "-", "NA", "N/A", "NaN", "nan", "NaT", "null", "NULL", "None")
"""The texts that stand for a missing value. Programs that write CSV files have no common one."""

PARQUET, _GZIP = b"PAR1", b"\x1f\x8b"
_OTHERS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"ARROW1": "an Arrow or Feather file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"SQLite": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"{": "JSON",
    b"[": "JSON",
}
_BYTE_ORDER_MARKS = {  # UTF-32 before UTF-16, whose mark is the beginning of that of UTF-32
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE | re.ASCII)
_SHOWN = 40  # characters of a cell in a message
_NAME = re.compile(r"[^\W\d]")  # a letter or an underscore


class SeriesError(ValueError):
    """The file cannot be used. The message names the file, if possible the row, and says what is allowed."""


@dataclass(frozen=True)
class Table:
    """The columns of a file, in its order. All columns of a CSV file are text, stripped; missing cells are null."""

    path: Path
    frame: pl.DataFrame
    lines: str | None = None
    """The text of a CSV file. None for Parquet."""
    header: bool = False
    first: int = 0
    """The number of rows of the file before these."""

    def row(self, index: SupportsIndex) -> int:
        """Return the number of a row for people; `index` counts from 0."""
        at = self.first + operator.index(index)
        return at + 1 if self.lines is None else int(self._line_numbers[at + self.header])

    @cached_property
    def _line_numbers(self) -> npt.NDArray[np.int64]:
        """The number of the line that each record of a CSV file begins on, its header included."""
        return np.fromiter((number for number, _ in _records(self.lines or "", strict=False)), np.int64)

    def shown(self, column: str, index: int) -> str:
        """Return a cell for people; `index` counts from 0."""
        cell = self.frame[column][index]
        text = "missing" if cell is None else repr(cell)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

    def error(self, index: SupportsIndex, why: str) -> SeriesError:
        """Return an error about one row; `index` counts from 0."""
        return SeriesError(f"{self.path}, row {self.row(index)}: {why}")


def read_table(path: Path) -> Table:
    """Read a CSV or a Parquet file. The file is opened once, so it may be a pipe.

    Raises:
        SeriesError: the file cannot be read, is neither CSV nor Parquet, or its lines do not fit its first.
    """
    return table_of(path, read_content(path))


def table_of(path: Path, content: bytes, only: str | None = None) -> Table:
    """Return the table in the content of a file. With `only`, columns other than this one may be left out.

    Raises:
        SeriesError: see `read_table`.
    """
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise SeriesError(f"{path}: cannot be read: its gzip compression is damaged") from error
    if content.startswith(PARQUET):
        with _parquet(path):
            chosen = [only] if only is not None and only in pl.read_parquet_schema(io.BytesIO(content)) else None
            return Table(path, pl.read_parquet(io.BytesIO(content), columns=chosen))
    return _csv(path, _text(path, content))


def type_of(content: bytes, name: str) -> pl.DataType | None:
    """Return the type of a column of a Parquet file, None without such a column. No value is read."""
    return pl.read_parquet_schema(io.BytesIO(content)).get(name)


def blocks(path: Path, content: bytes, starts: Sequence[int]) -> Iterator[Table]:
    """Yield the rows from each of `starts` to the next one as a table. The last one is the number of all rows.

    The whole of a Parquet file is never in memory at once.

    Raises:
        SeriesError: see `read_table`.
    """
    if content.startswith(PARQUET):
        for first, end in pairwise(starts):
            with _parquet(path):
                rows = pl.scan_parquet(io.BytesIO(content)).slice(first, end - first).collect()
            yield Table(path, rows, first=first)
    else:
        table = table_of(path, content)
        for first, end in pairwise(starts):
            yield replace(table, frame=table.frame.slice(first, end - first), first=first)


@contextmanager
def _parquet(path: Path) -> Iterator[None]:
    """Raise SeriesError for an error of polars, which panics over a time zone that does not exist."""
    try:
        yield
    except PolarsError as error:
        raise SeriesError(f"{path}: cannot be read as Parquet: {_first_line(error)}") from error
    except PanicException as error:
        zone = re.search("unable to parse time zone: '(.*?)'", str(error))
        needed = f"there is no time zone {zone[1]!r}; a name such as Asia/Kolkata or UTC is needed" if zone else None
        raise SeriesError(f"{path}: cannot be read as Parquet: {needed or _first_line(error)}") from error


def read_content(path: Path) -> bytes:
    """Return the bytes of a file. Raises SeriesError if it cannot be read."""
    try:
        with path.open("rb") as file:  # polars would take a name with brackets or stars for a pattern
            return file.read()
    except IsADirectoryError as error:
        raise SeriesError(f"{path}: is a folder; a CSV or a Parquet file is needed") from error
    except OSError as error:
        raise SeriesError(f"{path}: cannot be read: {error.strerror}") from error


def _text(path: Path, content: bytes) -> str:
    """Return the text of a CSV file with line ends of one kind."""
    for beginning, kind in _OTHERS.items():
        if content.startswith(beginning):
            raise SeriesError(f"{path}: cannot be read: it is {kind}; a CSV or a Parquet file is needed")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise SeriesError(f"{path}, row {row}: cannot be read: it is not text in UTF-8; save it as UTF-8") from error
    if "\0" in text:
        raise SeriesError(f"{path}: cannot be read: it is not text; a CSV or a Parquet file is needed")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _csv(path: Path, text: str) -> Table:
    if not text.strip():
        raise SeriesError(f"{path}: cannot be read: the file is empty")
    first, _, rest = text.partition("\n")
    if not first.strip() and any(map(_is_name, rest.lstrip().partition("\n")[0].split(","))):
        raise SeriesError(f"{path}, row 1: is empty; the names of the columns have to be in row 1")
    for separator, name in _SEPARATORS.items():
        if separator in first and "," not in first and (not rest.strip() or separator in rest.partition("\n")[0]):
            raise SeriesError(f"{path}, row 1: columns are separated by {name}; commas are needed, and decimal points")
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), infer_schema=False, has_header=False)
    except PolarsError as error:
        raise SeriesError(f"{path}{_irregular(text) or ': cannot be read: ' + _first_line(error)}") from error
    stripped = pl.all().str.strip_chars()
    frame = frame.select(pl.when(stripped != "").then(stripped))
    names = frame.row(0)
    header = any(map(_is_name, names))
    if header:
        frame = frame.slice(1)
    elif frame.width > 1:
        raise SeriesError(f"{path}, row 1: a file of several columns has to begin with their names")
    # Some programs end a file with empty lines. Anywhere else, empty lines are missing values.
    filled = (~frame.select(pl.all_horizontal(pl.all().is_null())).to_series()).arg_true()
    frame = frame.head(int(filled[-1]) + 1 if len(filled) else 0)
    return Table(path, _named(path, frame, names if header else (None,) * frame.width), text, header)


def _is_name(cell: str | None) -> bool:
    """Return whether the first cell of a column is its name, and no value of it."""
    return cell is not None and cell not in MISSING and bool(_NAME.match(cell)) and not _NUMBER.fullmatch(cell)


def _named(path: Path, frame: pl.DataFrame, names: tuple[str | None, ...]) -> pl.DataFrame:
    """Return the frame with its names. Columns without one are called column_0 and so on; empty ones are left out."""
    called = [name or f"column_{number}" for number, name in enumerate(names)]
    if twice := next((name for name in called if called.count(name) > 1), None):
        raise SeriesError(f"{path}, row 1: two columns are called {twice!r}")
    frame.columns = called
    unnamed = [name for name, given in zip(called, names, strict=True) if given is None]
    empty = [name for name in unnamed if frame.width > 1 and frame[name].null_count() == frame.height]
    return frame.drop(empty)


def _irregular(text: str) -> str | None:
    """Return the first row that does not fit the first one, and why: ", row 2: …"."""
    width = None
    try:
        for number, record in _records(text, strict=True):
            width = len(record) if width is None else width
            if len(record) > max(width, 1):
                return (
                    f", row {number}: cannot be read: {len(record)} fields, and row 1 has {max(width, 1)}; "
                    "commas separate fields, and numbers have decimal points"
                )
    except csv.Error as error:
        return f": cannot be read: {error}"
    return None


def _records(text: str, strict: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield each record of a CSV file with the number of the line that it begins on."""
    reader = csv.reader(io.StringIO(text), strict=strict)
    number = 1
    for record in reader:
        yield number, record
        number = reader.line_num + 1


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
