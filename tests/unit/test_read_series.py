"""Tests of reading files of series. Errors name the file and the row; nothing is guessed."""

import gzip
import os
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from model.series import Reading, SeriesError, read_series


def write(folder: Path, text: str) -> Path:
    path = folder / "series.csv"
    path.write_text(text)
    return path


def read(folder: Path, text: str, **choices: object) -> dict[str, list[float]]:
    return values_of(read_series(write(folder, text), **choices))  # type: ignore[arg-type]


def values_of(reading: Reading) -> dict[str, list[float]]:
    return {name: value_T.tolist() for name, value_T in reading.values.items()}


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
        (" 0.5\n 1.5\n", {"column_0": [0.5, 1.5]}),
        (" y \n 1\n", {"y": [1]}),
        ("y\r1\r2\r", {"y": [1, 2]}),
        ("ds,y\n 1,1\n 2,2\n", {"y": [1, 2]}),
        (",y\n0,5\n1,6\n", {"y": [5, 6]}),
        ("ds,y,\n1,5,\n2,6,\n", {"y": [5, 6]}),
        ("unique_id,ds,y\nNA,1,5\nNA,2,6\n", {"NA": [5, 6]}),
        ("y\n1e15\n-1e15\n", {"y": [1e15, -1e15]}),
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
    with pytest.raises(SeriesError, match=r"row 4: 2 steps of \d? ?\w+ after row 3; times have to be evenly spaced"):
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
        assert values_of(read_series(tmp_path / f"{name}.parquet")) == {"a": [1, 2, 3]}
    frame.with_columns(pl.lit(None, pl.Float64).alias("y")).write_parquet(tmp_path / "empty.parquet")
    with pytest.raises(SeriesError, match=r"empty.parquet, row 1: y is missing"):
        read_series(tmp_path / "empty.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y\n1\n\n3\n", "row 3: y is missing; a finite number of at most 1e+15 in size is needed; --fill closes gaps"),
        ("y\n1\nNaN\n3\n", "row 3: y is 'NaN'; a finite number"),
        ("1\ninf\n", "row 2: column_0 is 'inf'; a finite number"),
        ("y\n1\n2\ntwo\n", "row 4: y is 'two'; a finite number"),
        ("y\n1\n1.1e15\n", "row 3: y is '1.1e15'; a finite number"),
        ("y\n1\n1_0\n", "row 3: y is '1_0'; a finite number"),
        ("\n0.5\n1.5\n", "row 1: column_0 is missing; a finite number"),
        ("\n\ny\n1\n", "row 1: is empty; the names of the columns have to be in row 1"),
        ("\nds,y\n1,1\n", "row 1: is empty; the names of the columns"),
        ("y\n" + "9" * 400, "row 2: y is '999999999999999999999999999999999999999…; a finite number"),
        ("NA\n1\n2\n", "row 1: column_0 is 'NA'; a finite number"),
        ("$5\n6\n7\n", "row 1: column_0 is '$5'; a finite number"),
        ("1 000\n2 000\n", "row 1: column_0 is '1 000'; a finite number"),
        ("12abc\n1\n2\n", "row 1: column_0 is '12abc'; a finite number"),
        ('note,y\n"two\nlines",1\n"",bad\n', "row 4: y is 'bad'"),
        ('y\n"1\n2\n', "cannot be read: unexpected end of data"),
        ("ds;y\n2026-01-01;1,5\n", "row 1: columns are separated by semicolons; commas are needed, and decimal points"),
        ("ds\ty\n1\t1\n", "row 1: columns are separated by tabs"),
        ("y,y\n1,2\n", "row 1: two columns are called 'y'"),
        ("unique_id,ds,y\n", "there are no rows"),
        ("ds,y\n1,1\n2,\n", "row 3: y is missing"),
        ("ds,y\n1,1\n2,2\n2,3\n", "row 4: the same time as in row 3"),
        (
            "ds,y\n1,1\n2,2\n4,3\n5,4\n",
            "row 4: 2 steps of 1 after row 3; times have to be evenly spaced: fill",
        ),
        ("ds,y\n1,1\n2,2\n3,3\n3.5,4\n4.5,5\n", "row 5: 0.5 after row 4, where the usual step is 1; times have to be"),
        ("ds,y\n202511,1\n202512,2\n202601,3\n", "row 4: ds is '202601'; write dates like 2026-01"),
        ("ds,y\n20260130,1\n20260131,2\n20260201,3\n", "row 4: ds is '20260201'; write dates like 2026-01-31"),
        ("ds,y\n31/12/2026,1\n01/01/2027,2\n", "row 2: ds is '31/12/2026'; a date or a date and time is needed"),
        ("ds,y\n2026-01-01,1\n2026-01-02T00:00Z,2\n", "row 2: ds is '2026-01-01', without an offset from UTC"),
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
    (tmp_path / "latin.csv").write_bytes("größe\n1\n".encode("latin-1"))
    with pytest.raises(SeriesError, match=r"latin.csv, row 1: cannot be read: it is not text in UTF-8"):
        read_series(tmp_path / "latin.csv")


def test_the_name_of_a_file_is_taken_literally(tmp_path: Path) -> None:
    names = ["demand[1].csv", "demand1.csv", "*.csv", "demand?.csv", "{a,b}.csv", "folder[1]/x.csv", "folder1/x.csv"]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"y\n{number}\n")
        pl.DataFrame({"y": [-number]}).write_parquet((tmp_path / name).with_suffix(".parquet"))
    for number, name in enumerate(names):
        assert values_of(read_series(tmp_path / name)) == {"y": [number]}
        assert values_of(read_series((tmp_path / name).with_suffix(".parquet"))) == {"y": [-number]}


def test_the_first_bytes_of_a_file_tell_its_type(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pl.DataFrame({"y": [1, 2]}).write_parquet(path)
    assert values_of(read_series(path)) == {"y": [1, 2]}
    for content in (b"y\n1\n2\n", gzip.compress(b"y\n1\n2\n"), "y\n1\n2\n".encode("utf-16")):
        path.with_suffix(".parquet").write_bytes(content)
        assert values_of(read_series(path.with_suffix(".parquet"))) == {"y": [1, 2]}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04rest", "a ZIP archive or an Excel workbook"),
        (b'{"y": [1]}', "JSON"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (b"\x1f\x8b\x08damaged", "its gzip compression is damaged"),
        (b"y\n1\0\n", "it is not text"),
        (b"PAR1 and nothing else", "Parquet"),
        (b"", "the file is empty"),
    ],
)
def test_files_of_other_types_are_refused_by_their_name(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(SeriesError, match=rf"table.csv: cannot be read.*{kind}"):
        read_series(tmp_path / "table.csv")
    with pytest.raises(SeriesError, match="is a folder"):
        read_series(tmp_path)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("y\n1\n2\n",))
    writer.start()
    assert values_of(read_series(tmp_path / "pipe")) == {"y": [1, 2]}
    writer.join()


@pytest.mark.parametrize(
    "times",
    [
        [f"2026-01-01 00:00:{number / 10:04.1f}" for number in range(90)],
        [f"2026-01-01T00:00:00.{250 * number:09d}" for number in range(90)],
        [str(1767225600000000000 + 1_000_000 * number) for number in range(90)],
        [str(1767225600 + number / 10) for number in range(90)],
        [repr(number * 0.1) for number in range(90)],
        [f"2026-03-{1 + number // 24:02d} {number % 24:02d}:00+01:00" for number in range(90)],
    ],
    ids=["100 ms", "250 ns", "1 ms since 1970", "0.1 s since 1970", "0.1", "1 h with an offset"],
)
def test_evenly_spaced_times_of_any_resolution_are_accepted(tmp_path: Path, times: list[str]) -> None:
    rows = [f"{time},{number}\n" for number, time in enumerate(times)]
    assert read(tmp_path, "ds,y\n" + "".join(reversed(rows))) == {"y": list(range(90))}
    with pytest.raises(SeriesError, match=r"row 42: 2 steps of .* after row 41"):
        read(tmp_path, "ds,y\n" + "".join(rows[:40] + rows[41:]))


def test_epoch_times_as_floats_of_a_parquet_file_are_accepted(tmp_path: Path) -> None:
    pl.DataFrame({"ds": 1767225600 + np.arange(300) / 100, "y": np.arange(300)}).write_parquet(tmp_path / "x.parquet")
    assert len(read_series(tmp_path / "x.parquet").values["y"]) == 300


@pytest.mark.parametrize("every", ["1h", "1d", "1w", "1mo", "3mo", "1y"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_time_zones_keep_their_own_clock(tmp_path: Path, every: str, zone: str, unit: str) -> None:
    start = pl.Series(["2017-01-01"]).str.to_datetime(time_unit="us")[0]
    times = pl.Series([start]).dt.replace_time_zone(zone).to_frame("ds")
    ends = times.select(pl.col("ds").dt.offset_by("3y" if every != "1y" else "12y"))["ds"][0]
    span = pl.datetime_range(times["ds"][0], ends, every, eager=True).alias("ds").dt.cast_time_unit(unit)  # type: ignore[arg-type]
    frame = pl.DataFrame([span, pl.Series("y", range(len(span)))])
    frame.write_parquet(tmp_path / "zone.parquet")
    assert read_series(tmp_path / "zone.parquet").values["y"].tolist() == list(range(len(span)))
    frame.filter(pl.col("y") != 5).write_parquet(tmp_path / "gap.parquet")
    with pytest.raises(SeriesError, match=r"row 6: 2 steps of (1 h|1 day|7 days|1 month|3 months|1 year) after row 5"):
        read_series(tmp_path / "gap.parquet")


def test_each_series_has_its_own_frequency(tmp_path: Path) -> None:
    frequencies = {
        "month start": ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"],
        "month end": ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"],
        "the 30th": ["2026-01-30", "2026-02-28", "2026-03-30", "2026-04-30"],
        "the 15th": ["2026-01-15", "2026-02-15", "2026-03-15", "2026-04-15"],
        "half months": ["2026-01-15", "2026-01-31", "2026-02-15", "2026-02-28"],
        "the 1st and the 15th": ["2026-01-01", "2026-01-15", "2026-02-01", "2026-02-15"],
        "days": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"],
        "business days": ["2026-01-01", "2026-01-02", "2026-01-05", "2026-01-06"],
        "hours": ["2026-01-01", "2026-01-01 01:00", "2026-01-01 02:00", "2026-01-01 03:00"],
    }
    rows = [f"{name},{time},{at}\n" for at in range(4) for name, times in frequencies.items() for time in [times[at]]]
    reading = read_series(write(tmp_path, "unique_id,ds,y\n" + "".join(rows)))
    assert values_of(reading) == {name: [0, 1, 2, 3] for name in frequencies}
    assert len(reading.notes) == 1
    for step in (
        "1 month (4 series, like 'month start')",
        "1 half month (2",
        "1 day (1",
        "1 business day (1",
        "1 h (1",
    ):
        assert step in reading.notes[0]
    with pytest.raises(SeriesError, match="row 4: 2 steps of 1 business day of series 'a' after row 3"):
        read(
            tmp_path, "unique_id,ds,y\na,2026-01-01,1\na,2026-01-02,2\na,2026-01-06,3\na,2026-01-07,4\na,2026-01-08,5\n"
        )


def test_names_of_series_are_taken_literally(tmp_path: Path) -> None:
    frame = pl.DataFrame({"unique_id": ["a", "a ", "A", "a"], "y": [1, 2, 3, 4]})
    frame.write_parquet(tmp_path / "x.parquet")
    assert values_of(read_series(tmp_path / "x.parquet")) == {"a": [1, 4], "a ": [2], "A": [3]}


def test_days_and_months_cross_a_change_to_summer_time_in_text(tmp_path: Path) -> None:
    days = ["2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"]
    assert read(tmp_path, "ds,y\n" + "".join(f"{day},1\n" for day in days)) == {"y": [1, 1, 1]}
    months = ["2026-03-01 00:00+01", "2026-04-01 00:00+02", "2026-05-01 00:00+0200", "2026-06-01 00:00+02:00"]
    assert read(tmp_path, "ds,y\n" + "".join(f"{month},1\n" for month in months)) == {"y": [1, 1, 1, 1]}
    hours = ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]
    assert read(tmp_path, "ds,y\n" + "".join(f"{hour},1\n" for hour in hours)) == {"y": [1, 1, 1]}


def test_series_of_one_frequency_need_no_note(tmp_path: Path) -> None:
    assert read_series(write(tmp_path, "unique_id,ds,y\na,2026-01-01,1\na,2026-01-02,2\nb,2026-01-01,1\n")).notes == []


LIST, STRUCT = pl.Series([[1], [2], [3]]), pl.Series([{"a": 1}, {"a": 2}, {"a": 3}])
DATES, TEXTS = pl.Series(["2026-01-01", "2026-01-02", "2026-01-03"]), pl.Series(["a", "a", "b"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": LIST}, "the column 'y' has the type List(Int64); numbers are needed"),
        ({"y": STRUCT}, "the column 'y' has the type Struct"),
        ({"y": DATES.str.to_date()}, "the column 'y' has the type Date; numbers are needed"),
        ({"y": pl.Series([True, False, True])}, "the column 'y' has the type Boolean"),
        ({"y": pl.Series([b"1", b"2", b"3"])}, "the column 'y' has the type Binary"),
        ({"y": TEXTS.cast(pl.Categorical)}, "row 1: y is 'a'; a finite number"),
        ({"y": pl.Series([1.0, float("inf"), 2.0])}, "row 2: y is inf; a finite number"),
        ({"y": pl.Series([1.0, float("nan"), 2.0])}, "row 2: y is nan; a finite number"),
        (
            {"ds": STRUCT, "y": [1, 2, 3]},
            "the column 'ds' has the type Struct({'a': Int64}); dates or numbers",
        ),
        ({"ds": pl.Series([True, False, True]), "y": [1, 2, 3]}, "the column 'ds' has the type Boolean"),
        ({"ds": pl.Series([2**63, 2**63 + 1, 2**63 + 2], dtype=pl.UInt64), "y": [1, 2, 3]}, "row 1: ds is 92233720368"),
        ({"ds": pl.Series([1.0, float("nan"), 3.0]), "y": [1, 2, 3]}, "row 2: ds is nan; a number is needed"),
        ({"unique_id": LIST, "y": [1, 2, 3]}, "the column 'unique_id' has the type List(Int64); text or whole numbers"),
        ({"unique_id": pl.Series([1.5, 1.5, 2.0]), "y": [1, 2, 3]}, "the column 'unique_id' has the type Float64"),
    ],
)
def test_types_are_checked_before_values(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(SeriesError) as refused:
        read_series(tmp_path / "x.parquet")
    assert str(refused.value).startswith(str(tmp_path / "x.parquet"))
    assert message in str(refused.value)


@pytest.mark.parametrize("text", [pl.String, pl.Categorical, pl.Enum(["2026-01-03", "2026-01-01", "2026-01-02"])])
def test_categories_are_read_as_the_texts_that_they_stand_for(tmp_path: Path, text: pl.DataType) -> None:
    times = pl.Series(["2026-01-03", "2026-01-01", "2026-01-02"])
    numbers = pl.Series(["30", "10", "20"])
    frame = pl.DataFrame(
        {"unique_id": TEXTS.cast(pl.Categorical), "ds": times.cast(text), "y": numbers.cast(pl.Categorical)}
    )
    frame.write_parquet(tmp_path / "x.parquet")
    assert values_of(read_series(tmp_path / "x.parquet")) == {"a": [10, 30], "b": [20]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "date,y\n2026-01-02,2\n2026-01-01,1\n",
            "the column 'date' looks like times and is not used: add --time date, or",
        ),
        (
            ",y\n2026-01-02,2\n2026-01-01,1\n",
            "the column 'column_0' looks like times",
        ),
        (
            "day shown,y\n02.01.2026,2\n01.01.2026,1\n",
            "the column 'day shown' looks like times",
        ),
        ("when,y\nJan 2026,2\nDec 2025,1\n", "the column 'when' looks like times"),
        ("n,y\n3,3\n2,2\n1,1\n", "the column 'n' looks like times"),
        ("n,y\n0.3,3\n0.2,2\n0.1,1\n", "the column 'n' looks like times"),
        ("year,month,y\n2026,2,3\n2026,1,2\n2025,12,1\n", "the column 'year' looks like times"),
        ("timestamp,y\n1,3\n2,2\n4,1\n", "the column 'timestamp' looks like times"),
        (
            "item_id,y\n1,1\n1,2\n2,1\n2,2\n",
            "the column 'item_id' looks like names of series and is not used: add",
        ),
        ("shop,y\na,1\na,2\nb,1\nb,2\n", "the column 'shop' looks like names of series"),
        ("which,y\na,1\na,2\nb,1\nb,2\n", "the column 'which' looks like names of series"),
        ("storeId,ds,y\na,1,1\na,2,2\nb,3,1\nb,4,2\n", "the column 'storeId' looks like names of series"),
        (
            "kind,ds,y\na,1,1\na,2,2\nb,1,1\nb,2,2\n",
            "row 4: the same time as in row 2; if the file has several",
        ),
    ],
)
def test_a_column_that_would_order_or_part_the_rows_is_not_ignored(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SeriesError) as refused:
        read(tmp_path, text)
    assert message in str(refused.value)


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    reading = read_series(write(tmp_path, "ds,weekday,price,y\n1,Mon,3.5,1\n2,Tue,3.0,2\n3,Mon,2.5,3\n"))
    assert values_of(reading) == {"y": [1, 2, 3]}
    assert reading.notes == ["columns that are not used: 'weekday', 'price'"]


def test_any_column_can_name_the_series_or_the_times(tmp_path: Path) -> None:
    text = "y,item id,time\n3,b,2026-01-03\n1,b,2026-01-01\n2,b,2026-01-02\n9,7,2026-01-01\n"
    assert read(tmp_path, text, id="item id", time="time") == {"b": [1, 2, 3], "7": [9]}
    with pytest.raises(SeriesError, match="must name different columns"):
        read(tmp_path, text, id="time", time="time")


@pytest.mark.parametrize(
    ("how", "expected"),
    [("previous", [1, 1, 1, 4, 4, 6]), ("linear", [1, 2, 3, 4, 5, 6]), ("zero", [1, 0, 0, 4, 0, 6])],
)
def test_gaps_are_filled_on_request_and_counted(tmp_path: Path, how: str, expected: list[float]) -> None:
    days = ["2026-01-01,1", "2026-01-04,4", "2026-01-05,NA", "2026-01-06,6"]
    path = write(tmp_path, "\n".join(["ds,y", *days]))
    with pytest.raises(SeriesError, match="row 4: y is 'NA'"):
        read_series(path)
    reading = read_series(path, fill=how)  # type: ignore[arg-type]
    assert values_of(reading) == {"y": expected}
    assert reading.notes == [f"filled 3 missing values of 1 series ({how})"]


def test_a_month_that_is_missing_is_filled_on_the_calendar(tmp_path: Path) -> None:
    assert read(tmp_path, "ds,y\n2026-01-31,1\n2026-02-28,2\n2026-04-30,4\n2026-05-31,5\n", fill="linear") == {
        "y": [1, 2, 3, 4, 5]
    }


def test_rows_without_times_are_filled_where_a_value_is_missing(tmp_path: Path) -> None:
    assert read(tmp_path, "y\n1\n\n3\n", fill="linear") == {"y": [1, 2, 3]}


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("y\n\n2\n3\n", "previous", "row 2: no value before this gap; --fill previous needs one"),
        ("ds,y\n1,\n2,2\n3,3\n", "linear", "row 2: no value before this gap; --fill linear needs one"),
        ("ds,y\n1,1\n2,2\n3,\n", "linear", "row 4: no value after this gap; --fill linear needs one"),
        ("ds,y\n1,\n2,\n3,\n", "zero", "row 4: too many gaps: at most 100 values are filled for each that is given"),
        ("ds,y\n1,1\n2,2\n3,3\n1000,4\n", "zero", "row 5: too many gaps"),
        ("ds,y\n1,1\n2,2\n3,3\n3.5,4\n4.5,5\n", "zero", "row 5: 0.5 after row 4"),
        ("ds,y\n202511,1\n202512,2\n202601,3\n", "linear", "row 4: ds is '202601'; write dates like 2026-01"),
    ],
)
def test_gaps_that_cannot_be_filled_are_refused(tmp_path: Path, text: str, how: str, message: str) -> None:
    with pytest.raises(SeriesError) as refused:
        read(tmp_path, text, fill=how)
    assert message in str(refused.value)
