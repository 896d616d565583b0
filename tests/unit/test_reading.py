"""Tests of reading files of series. Errors name the file and the row."""

from pathlib import Path

import polars as pl
import pytest

from app.schemas import LARGEST_VALUE as SERVED
from training.reading import LARGEST_VALUE, SeriesError, read_series


def write(folder: Path, text: str) -> Path:
    path = folder / "series.csv"
    path.write_text(text)
    return path


def read(folder: Path, text: str, **choices: object) -> dict[str, list[float]]:
    read = read_series(write(folder, text), **choices)  # type: ignore[arg-type]
    return {name: value_T.tolist() for name, value_T in read.items()}


@pytest.mark.parametrize(
    ("text", "series"),
    [
        ("1\n2.5\n-3e1\n", {"column_0": [1, 2.5, -30]}),
        ("flow\n1\n2\n", {"flow": [1, 2]}),
        ("y\n1\n2\n\n\n", {"y": [1, 2]}),
        ("ds,y\n2026-01-01,1\n2026-01-02,2\n2026-01-03,3\n", {"y": [1, 2, 3]}),
        ("ds,y\n2026-01-31 23:00, 1\n2026-02-01 00:00, 2\n", {"y": [1, 2]}),
        ("\ufeffds,y\r\n1,1\r\n2,2\r\n", {"y": [1, 2]}),
        ("ds,y\n3,3\n1,1\n2,2\n", {"y": [1, 2, 3]}),
        ("unique_id,ds,y\na,1,1\nb,7,10\na,2,2\nb,9,20\n", {"a": [1, 2], "b": [10, 20]}),
        ("y,unique_id,note\n1,a,x\n2,a,y\n", {"a": [1, 2]}),
    ],
)
def test_readable_files_are_read(tmp_path: Path, text: str, series: dict[str, list[float]]) -> None:
    assert read(tmp_path, text) == series


@pytest.mark.parametrize(
    "dates",
    [
        ["2025-11-01", "2025-12-01", "2026-01-01", "2026-02-01", "2026-03-01"],
        ["2025-11-30", "2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31"],
        ["2025-12-31", "2026-03-31", "2026-06-30", "2026-09-30", "2026-12-31"],
        ["2023-01-01", "2024-01-01", "2025-01-01", "2026-01-01", "2027-01-01"],
    ],
)
def test_months_quarters_and_years_are_evenly_spaced(tmp_path: Path, dates: list[str]) -> None:
    rows = "".join(f"{date},{number}\n" for number, date in enumerate(dates))
    assert read(tmp_path, f"ds,y\n{rows}") == {"y": [0, 1, 2, 3, 4]}
    del dates[2]
    with pytest.raises(SeriesError, match=r"row 4: 2 steps after row 3; times have to be evenly spaced"):
        read(tmp_path, "ds,y\n" + "".join(f"{date},0\n" for date in dates))


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    text = "when,load,price\n1,10,5\n2,20,6\n"
    assert read(tmp_path, text, column="price", time="when") == {"price": [5, 6]}
    assert read(tmp_path, text, column="load") == {"load": [10, 20]}


def test_parquet_is_read_as_well(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"unique_id": ["a"] * 3, "ds": pl.Series(["2026-01-01", "2026-01-02", "2026-01-03"]), "y": [1, 2, 3]}
    )
    for name, table in (("dates", frame.with_columns(pl.col("ds").str.to_date())), ("text", frame)):
        table.write_parquet(tmp_path / f"{name}.parquet")
        assert read_series(tmp_path / f"{name}.parquet")["a"].tolist() == [1, 2, 3]
    frame.with_columns(pl.lit(None, pl.Float64).alias("y")).write_parquet(tmp_path / "empty.parquet")
    with pytest.raises(SeriesError, match=r"empty.parquet, row 1: y is missing"):
        read_series(tmp_path / "empty.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y\n1\n\n3\n", "row 3: y is missing; a finite number of at most 1,000,000 in size is needed"),
        ("y\n1\nNaN\n3\n", "row 3: y is 'NaN'; a finite number"),
        ("1\ninf\n", "row 2: column_0 is 'inf'; a finite number"),
        ("y\n1\n2\ntwo\n", "row 4: y is 'two'; a finite number"),
        ("y\n1\n2000000\n", "row 3: y is '2000000'; a finite number"),
        ("ds,y\n1,1\n2,\n", "row 3: y is missing"),
        ("ds,y\n1,1\n2,2\n2,3\n", "row 4: the same time as in row 3"),
        ("ds,y\n1,1\n2,2\n4,3\n5,4\n", "row 4: 2 steps after row 3; times have to be evenly spaced: fill the gaps"),
        ("ds,y\n2026-01-01,1\n2026-01-02,2\n2026-13-03,3\n", "row 4: ds is '2026-13-03'; a date or a date and time"),
        ("ds,y\nmonday,1\ntuesday,2\n", "row 2: ds is 'monday'; a date or a date and time is needed"),
        ("ds,y\n1,1\n,2\n", "row 3: ds is missing; a number is needed, like the other times"),
        ("unique_id,ds,y\na,1,1\n,2,2\n", "row 3: unique_id is empty"),
        ("unique_id,ds,y\na,1,1\na,2,2\nb,1,1\nb,1,1\n", "row 5: the same time of series 'b' as in row 4"),
        ("unique_id,y\na,1\na,2\nb,1\n", "row 4: too few points of series 'b': 1, and at least 2 are needed"),
        ("y\n1\n", "row 2: too few points: 1, and at least 2"),
        ("y\n", "too few points: 0"),
        ("y\n1,5\n2,5\n", "row 2: cannot be read"),
        ("", "cannot be read"),
        ("1,2\n3,4\n", "row 1: a file of several columns has to begin with their names"),
        ("a,b\n3,4\n", "choose the column of values with --column; there are 'a', 'b'"),
        ("ds\n1\n2\n", "choose the column of values with --column; there are none"),
    ],
)
def test_unusable_series_are_refused_with_file_and_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SeriesError) as refused:
        read(tmp_path, text, at_least=2)
    assert str(refused.value).startswith(str(tmp_path / "series.csv"))
    assert message in str(refused.value)


def test_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="there is no column 'z', only 'ds', 'y'"):
        read(tmp_path, "ds,y\n1,2\n", column="z")
    with pytest.raises(SeriesError, match="there is no column 'when'"):
        read(tmp_path, "ds,y\n1,2\n", time="when")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match=r"nothing.csv: cannot be read"):
        read_series(tmp_path / "nothing.csv")
    (tmp_path / "no.parquet").write_text("y\n1\n")
    with pytest.raises(SeriesError, match=r"no.parquet: cannot be read"):
        read_series(tmp_path / "no.parquet")
    (tmp_path / "latin.csv").write_bytes("größe\n1\n".encode("latin-1"))
    with pytest.raises(SeriesError, match=r"latin.csv: cannot be read"):
        read_series(tmp_path / "latin.csv")


def test_training_series_can_be_sent_to_the_service() -> None:
    assert LARGEST_VALUE == SERVED
