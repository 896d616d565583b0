"""Tables as they are written: their columns, and the bytes of their types."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from app.bulk.options import WrongOption
from app.bulk.places import PARQUET, published
from model.series.panel import Refused

_GROUP = 100_000
"""The rows in a row group of a Parquet file."""


REASON = "reason"
"""The column of a list of refused series that says why."""


def check_names(source: str, *tables: Sequence[str]) -> None:
    """Raise WrongOption if two columns of a table of the output have the same name."""
    for names in tables:
        if twice := next((name for name, count in Counter(names).items() if count > 1), None):
            why = f"{source}: two columns of the output would be called {twice!r}, and its columns are"
            raise WrongOption(f"{why} {', '.join(map(repr, names))}: rename the column {twice!r} of the file")


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a table aside and rename it. The same table always gives the same bytes."""
    with published(path) as new:
        if path.suffix in PARQUET:
            # Zstandard makes a tenth less of forecasts, and takes three times as long.
            frame.write_parquet(new, compression="snappy", row_group_size=_GROUP)
        else:
            new.write_bytes(csv_of(frame))


def csv_of(frame: pl.DataFrame) -> bytes:
    """Return a table as CSV. Times without fractions of seconds have none."""
    buffer = io.BytesIO()
    shown = frame.with_columns(
        pl.col(name).dt.strftime(_form(frame[name])) for name, dtype in frame.schema.items() if dtype == pl.Datetime
    )
    shown.write_csv(buffer)
    return buffer.getvalue()


def _form(column: pl.Series) -> str:
    fraction = "%.f" if (column.dt.nanosecond() != 0).any() else ""
    zone = "%:z" if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone else ""
    return f"%Y-%m-%d %H:%M:%S{fraction}{zone}"


def repeated(ids: pl.Series, each: int) -> pl.Series:
    """Return each id `each` times, one after the other."""
    return ids.gather(np.repeat(np.arange(len(ids)), each))


def write_refused(refused: list[Refused], id: str, path: Path) -> None:
    """Write the series that cannot be forecast, with their reasons. No file is left where there are none."""
    if refused:
        columns = {id: [str(each.id) for each in refused], REASON: [each.reason for each in refused]}
        write_table(pl.DataFrame(columns), path)
    else:
        path.unlink(missing_ok=True)
