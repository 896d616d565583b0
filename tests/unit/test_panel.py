"""Tests of files of many series: the same series, frequencies and errors as when each is read alone."""

import gzip
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.series.ends import with_times
from model.series.panel import Choice, Panel, panel_of, read_panels
from model.series.reading import read_series
from model.series.regular import UNKNOWN, regular_frequencies
from model.series.table import SeriesError, read_table
from sine_client.dates import following
from sine_client.frequency import Frequency, Grid, Times, grid_of

BERLIN = "Europe/Berlin"


def read_panel(path: Path, **choice: Any) -> Panel:
    """Return the whole of a file."""
    return panel_of(read_table(path), Choice(**choice))


def dates(start: str, step: str, count: int = 30, zone: str | None = None) -> pl.Series:
    """Return evenly spaced dates, on the clock of a zone if there is one."""
    first = datetime.fromisoformat(start)
    made = pl.datetime_range(first, first.replace(year=first.year + 40), step, eager=True).head(count)
    return made.dt.replace_time_zone(zone, non_existent="null") if zone else made


def grids(column: pl.Series) -> Times:
    at = column.cast(pl.Datetime("us", column.dtype.time_zone)) if isinstance(column.dtype, pl.Datetime) else column
    wall = at.dt.replace_time_zone(None).to_physical().to_numpy()
    zoned = isinstance(at.dtype, pl.Datetime) and at.dtype.time_zone is not None
    return Times(at.to_physical().to_numpy().astype(np.int64), wall, "us", zoned)


EVEN = {
    "minutes": dates("2026-01-01", "15m"),
    "hours": dates("2026-03-28", "1h"),
    "days": dates("2024-02-20", "1d"),
    "weeks": dates("2026-01-05", "1w"),
    "every 30 days": dates("2026-01-05", "30d"),
    "first of months": dates("2026-01-01", "1mo"),
    "20th of months": dates("2026-01-20", "1mo"),
    "month ends": dates("2026-02-01", "1mo").dt.offset_by("-1d"),
    "quarter ends": dates("2026-04-01", "3mo").dt.offset_by("-1d"),
    "years": dates("2000-02-29", "1y", 20),
    "half months": pl.concat([dates("2026-01-01", "1mo", 15), dates("2026-01-15", "1mo", 15)]).sort(),
    "middles and ends of months": pl.concat(
        [dates("2026-01-15", "1mo", 15), dates("2026-02-01", "1mo", 15).dt.offset_by("-1d")]
    ).sort(),
    "business days": (days := dates("2026-01-05", "1d")).filter(days.dt.weekday() < 6),
    "days of a zone": dates("2026-03-20", "1d", zone=BERLIN),
    "days of a zone between its changes": dates("2026-05-01", "1d", zone=BERLIN),
    "weeks of a zone between its changes": dates("2026-05-01 12:00", "1w", 10, BERLIN),
    "14 days of a zone between its changes": dates("2026-05-02", "14d", 10, BERLIN),
    "hours of a zone": dates("2026-03-28", "1h", zone="UTC").dt.convert_time_zone(BERLIN),
    "months of a zone": dates("2026-01-01", "1mo", zone=BERLIN),
    "every second day at noon": dates("2026-01-01 12:00", "2d"),
}


@pytest.mark.parametrize("name", EVEN)
def test_the_frequency_of_a_series_among_others_is_that_of_the_series_alone(name: str) -> None:
    column = EVEN[name]
    times, count = grids(column), len(column)
    assert times.wall_N is not None
    grid = grid_of(times)
    assert isinstance(grid, Grid)
    both = Times(np.tile(times.at_N, 2).astype(np.int64), np.tile(times.wall_N, 2), "us", times.zoned)
    frequencies, number_B = regular_frequencies(both, np.array([0, count, 2 * count]))
    assert [frequencies[number] for number in number_B] == [grid.frequency] * 2


@given(
    st.lists(st.sampled_from(sorted(EVEN)), min_size=1, max_size=5),
    st.lists(st.integers(1, 12), min_size=5, max_size=5),
    st.lists(st.integers(0, 40), max_size=3),
)
def test_a_regular_frequency_is_that_of_the_grid_and_has_no_gap(
    names: list[str], lengths: list[int], dropped: list[int]
) -> None:
    parts = [grids(EVEN[name].head(length)) for name, length in zip(names, lengths, strict=False)]
    at_N = np.concatenate([part.at_N for part in parts])
    wall_N = np.concatenate([part.wall_N for part in parts if part.wall_N is not None])
    series_N = np.repeat(np.arange(len(parts)), [len(part.at_N) for part in parts])
    kept_N = ~np.isin(np.arange(len(at_N)), dropped)
    at_N, wall_N, series_N = at_N[kept_N], wall_N[kept_N], series_N[kept_N]
    start_B1 = np.append(np.flatnonzero(np.diff(series_N, prepend=-1)), len(series_N))
    if len(start_B1) < 2:
        return
    frequencies, number_B = regular_frequencies(Times(at_N, wall_N, "us"), start_B1)
    for number, first, end in zip(number_B, start_B1, start_B1[1:], strict=False):
        grid = grid_of(Times(at_N[first:end], wall_N[first:end], "us"))
        regular = isinstance(grid, Grid) and not grid.missing and end - first > 1
        assert number == UNKNOWN or (isinstance(grid, Grid) and frequencies[number] == grid.frequency and regular)
        assert number != UNKNOWN or not regular


LONG = """unique_id,ds,y
a,2026-01-31,1
a,2026-02-28,2
a,2026-03-31,3
b,2026-01-02,4
b,2026-01-01,5
b,2026-01-03,6
c,2026-01-01,7
c,2026-01-02,
d,2026-01-01,8
e,2026-01-01,nonsense
e,2026-01-02,9
f,2026-01-01,1
f,2026-01-02,2
f,2026-01-07,3
"""


def test_series_that_cannot_be_used_do_not_stop_the_others(tmp_path: Path) -> None:
    (path := tmp_path / "series.csv").write_text(LONG)
    panel = read_panel(path)
    assert panel.ids.to_list() == ["a", "b"]
    assert panel.value_N.tolist() == [1, 2, 3, 5, 4, 6]
    assert panel.start_B1.tolist() == [0, 3, 6]
    assert [panel.frequencies[number] for number in panel.frequency_B] == [
        Frequency(1, "month", day=31),
        Frequency(86_400_000_000, "us"),
    ]
    reasons = {str(refused.id): refused.reason for refused in panel.refused}
    assert list(reasons) == ["c", "d", "e", "f"]
    assert reasons["c"].startswith("series.csv, row 9: y is missing; ")
    assert reasons["d"] == "series.csv, row 10: a single time has no frequency; a series has at least 2 points"
    assert reasons["e"].startswith("series.csv, row 11: y is 'nonsense'; ")
    assert reasons["f"].startswith("series.csv, row 15: 3 steps of 1 business day of series 'f' after row 14; ")


def test_the_values_are_those_of_each_series_alone(tmp_path: Path) -> None:
    rows = LONG.splitlines(keepends=True)
    (path := tmp_path / "series.csv").write_text("".join(rows[:7]))
    panel, reading = read_panel(path), read_series(path)
    found = {
        panel.ids[index]: panel.value_N[panel.start_B1[index] : panel.start_B1[index + 1]].tolist()
        for index in range(len(panel.ids))
    }
    assert found == {name: values.tolist() for name, values in reading.values.items()}


@pytest.mark.parametrize("rows", [1, 4, 6, 7, 100])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_blocks_of_any_size_are_the_whole_file(tmp_path: Path, rows: int, suffix: str) -> None:
    (path := tmp_path / "series.csv").write_text(LONG)
    whole = read_panel(path)
    if suffix == ".parquet":
        frame = pl.read_csv(path, schema_overrides={"y": pl.String}).with_columns(pl.col("ds").str.to_date())
        frame.with_columns(pl.col("y").replace("nonsense", "inf").cast(pl.Float64)).write_parquet(
            path := tmp_path / "series.parquet"
        )
    panels = list(read_panels(path, Choice(), rows))
    assert len(panels) == {1: 6, 4: 5, 6: 3, 7: 3, 100: 1}[rows]
    assert [name for panel in panels for name in panel.ids] == whole.ids.to_list()
    assert np.concatenate([panel.value_N for panel in panels]).tolist() == whole.value_N.tolist()
    refused = [each for panel in panels for each in panel.refused]
    assert [each.id for each in refused] == [each.id for each in whole.refused]
    header = suffix == ".csv"
    assert f"series{suffix}, row {13 + header}" in refused[-1].reason.replace(
        f"row {14 + header}", f"row {13 + header}"
    )


def test_gaps_are_filled_on_request(tmp_path: Path) -> None:
    (path := tmp_path / "series.csv").write_text(LONG)
    panel = read_panel(path, fill="previous")
    assert panel.ids.to_list() == ["a", "b", "c", "f"]
    assert panel.value_N.tolist() == [1, 2, 3, 5, 4, 6, 7, 7, 1, 2, 2, 2, 3]


def test_the_rows_of_a_series_have_to_be_together(tmp_path: Path) -> None:
    (path := tmp_path / "series.csv").write_text("unique_id,ds,y\na,1,1\na,2,1\nb,1,1\nb,2,1\na,3,1\n")
    with pytest.raises(SeriesError, match=r"series\.csv, row 6: series 'a' began in row 2, and other series are"):
        read_panel(path)


def test_a_bare_column_is_one_series_whose_times_count_its_values(tmp_path: Path) -> None:
    (path := tmp_path / "values.csv").write_text("1\n2\n3\n")
    panel = read_panel(path)
    assert panel.value_N.tolist() == [1, 2, 3]
    assert (panel.last.at_N.tolist(), panel.frequencies) == ([3], [Frequency(1, "")])
    assert len(panel.ids) == 1


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([date(2026, 1, 1), date(2026, 1, 2)]),
        pl.Series([datetime(2026, 1, 1, 5), datetime(2026, 1, 1, 6)]),
        pl.Series([datetime(2026, 3, 28), datetime(2026, 3, 29)]).dt.replace_time_zone(BERLIN),
        pl.Series([7, 9], dtype=pl.Int32),
        pl.Series([0.5, 1.0]),
        pl.Series(["2026-01-01", "2026-01-02"]),
        pl.Series(["2026-01-01T10:00:00", "2026-01-01T11:00:00"]),
        pl.Series(["2026-01-01 10:00:00.5", "2026-01-01 11:00:00.500"]),
        pl.Series(["2026-01-01 10:00:00-03:30", "2026-01-01 11:00:00-03:30"]),
        pl.Series(["2026-01-01+01:00", "2026-01-02+01:00"]),
        pl.Series(["2026-01-01-11:00", "2026-01-02-11:00"]),
    ],
    ids=[
        *["date", "datetime", "zone", "int", "float", "text", "text with T", "text with fractions"],
        *["text with offset", "date with offset", "date west of UTC"],
    ],
)
def test_times_are_written_in_the_type_that_they_were_read_in(tmp_path: Path, column: pl.Series) -> None:
    frame = pl.DataFrame({"unique_id": [1, 1], "ds": column, "y": [1.0, 2.0]})
    frame.write_parquet(path := tmp_path / "series.parquet")
    panel = read_panel(path)
    written = panel.form.written(panel.last.at_N, panel.last, 1)
    expected = column[1:]
    assert written.to_list() == expected.to_list()
    assert written.dtype == expected.dtype
    assert (panel.form.zone == ZoneInfo(BERLIN)) == (str(column.dtype).find(BERLIN) > 0)


@pytest.mark.parametrize("zone", [BERLIN, "America/Havana", "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("step", ["1d", "2d", "1w", "10d", "14d", "1mo"])
def test_dates_of_a_zone_keep_their_time_of_day_where_its_clocks_change_later(
    tmp_path: Path, step: str, zone: str
) -> None:
    times = dates("2026-05-04 09:30", step, zone=zone)
    for count in (2, 5):
        frame = pl.DataFrame({"unique_id": ["a"] * count, "ds": times[:count], "y": np.arange(float(count))})
        frame.write_parquet(path := tmp_path / "series.parquet")
        panel = read_panel(path)
        ahead_S = np.arange(1, 21)
        at_BS = following(panel.last, panel.frequencies, panel.frequency_B, ahead_S, panel.form.zone)
        written = panel.form.written(at_BS.ravel(), panel.last, len(ahead_S))
        assert written.to_list() == times[count : count + 20].to_list()


CLOCKS = {"": "", " 00:00": " 00:00:00", "T00:00:00": "T00:00:00", " 23:30": " 23:30:00"}
OFFSETS = {"+0100": "+01:00", "-11:00": "-11:00", "+14": "+14:00", " +0530": "+05:30", "Z": "+00:00", " UTC": "+00:00"}


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("clock", CLOCKS)
def test_texts_with_an_offset_keep_it_and_their_day(tmp_path: Path, clock: str, offset: str) -> None:
    times = [f"2026-01-0{day}{clock}{offset}" for day in range(1, 6)]
    pl.DataFrame({"unique_id": ["a"] * 5, "ds": times, "y": np.arange(5.0)}).write_csv(path := tmp_path / "series.csv")
    panel = read_panel(path)
    at_BS = following(panel.last, panel.frequencies, panel.frequency_B, np.arange(1, 3), panel.form.zone)
    written = panel.form.written(at_BS.ravel(), panel.last, 2).to_list()
    assert written == [f"2026-01-0{day}{CLOCKS[clock]}{OFFSETS[offset]}" for day in (6, 7)]


def yearly(first: int, dtype: Any = pl.Datetime, zone: str | None = None) -> pl.Series:
    return pl.Series([datetime(first + number, 1, 1) for number in range(4)]).cast(dtype).dt.replace_time_zone(zone)


def texts(first: int, clock: str = "") -> pl.Series:
    return pl.Series([f"{first + number}-01-01{clock}" for number in range(4)])


def numbers(first: int, dtype: Any = pl.Int64) -> pl.Series:
    return pl.Series([first + number for number in range(4)]).cast(dtype)


MOST = 2**63 - 4
EARLY_AND_LATE = {
    "int64": (numbers(0), numbers(MOST)),
    "uint64": (numbers(0, pl.UInt64), numbers(MOST, pl.UInt64)),
    "int8": (numbers(0, pl.Int8), numbers(124, pl.Int8)),
    "integers in text": (numbers(0, pl.String), numbers(MOST, pl.String)),
    "float32": (numbers(0, pl.Float32), pl.Series([0.0, 1e38, 2e38, 3e38], dtype=pl.Float32)),
    "dates": (yearly(2000).cast(pl.Date), yearly(9996).cast(pl.Date)),
    "years above 9999": (yearly(2000), yearly(9995).dt.offset_by("10y")),
    "microseconds": (yearly(2000), yearly(9996)),
    "milliseconds of a zone": (yearly(2000, pl.Datetime("ms"), BERLIN), yearly(9995, pl.Datetime("ms"), BERLIN)),
    "nanoseconds": (yearly(2000, pl.Datetime("ns")), yearly(2258, pl.Datetime("ns"))),
    "nanoseconds in text": (texts(2000, " 00:00:00.123456789"), texts(2258, " 00:00:00.123456789")),
    "text": (texts(2000), texts(9996)),
}


@pytest.mark.parametrize("name", EARLY_AND_LATE)
def test_a_series_whose_forecast_has_no_times_is_refused_alone(tmp_path: Path, name: str) -> None:
    early, late = EARLY_AND_LATE[name]
    names = [each for each in "abc" for _ in range(4)]
    frame = pl.DataFrame({"unique_id": names, "ds": pl.concat([late, early, late]), "y": np.arange(12.0)})
    frame.write_parquet(path := tmp_path / "series.parquet")
    panel = with_times(read_panel(path), 3, "series.parquet")
    assert panel.ids.to_list() == ["b"]
    assert (panel.value_N.tolist(), panel.start_B1.tolist()) == ([4, 5, 6, 7], [0, 4])
    assert [each.id for each in panel.refused] == ["a", "c"]
    start = "series.parquet: the forecast of series 'a' ends at a time that cannot be written; "
    assert panel.refused[0].reason.startswith(start)
    at_BS = following(panel.last, panel.frequencies, panel.frequency_B, np.arange(1, 4), panel.form.zone)
    written = panel.form.written(at_BS.ravel(), panel.last, 3)
    assert written.is_sorted()


def test_the_last_time_that_can_be_written_is(tmp_path: Path) -> None:
    frame = pl.DataFrame({"unique_id": ["a"] * 4, "ds": numbers(2**63 - 7), "y": np.arange(4.0)})
    frame.write_parquet(path := tmp_path / "series.parquet")
    panel = read_panel(path)
    assert with_times(panel, 3, "series.parquet") is panel
    assert [str(each.id) for each in with_times(panel, 4, "series.parquet").refused] == ["a"]


@pytest.mark.parametrize("step", [0.1, 0.3, 0.001])
def test_fractions_of_32_bits_are_evenly_spaced_as_far_as_they_can_be(tmp_path: Path, step: float) -> None:
    times = (step * np.arange(3000)).astype(np.float32)
    frame = pl.DataFrame({"unique_id": ["a"] * 3000, "ds": times, "y": np.arange(3000.0)})
    frame.write_parquet(path := tmp_path / "series.parquet")
    panel = read_panel(path)
    assert not panel.refused
    at_BS = following(panel.last, panel.frequencies, panel.frequency_B, np.arange(1, 4), panel.form.zone)
    written = panel.form.written(at_BS.ravel(), panel.last, 3)
    assert written.dtype == pl.Float32
    np.testing.assert_allclose(written.to_numpy(), step * np.arange(3000, 3003), rtol=1e-6)
    frame.with_columns(ds=pl.when(pl.int_range(3000) == 7).then(pl.col("ds") * 1.01).otherwise("ds")).write_parquet(
        path
    )
    assert len(read_panel(path).refused) == 1


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".parquet.gz"])
@pytest.mark.parametrize(
    ("first", "second", "written"),
    [
        ("2026-01-0{}", "2026-01-01 0{}:00", ["2026-01-04 00:00:00", "2026-01-01 04:00:00"]),
        ("2026-01-0{} 12:00", "2026-01-01 12:00:00.{}", ["2026-01-04 12:00:00", "2026-01-01 12:00:00.400"]),
        ("2026-01-0{}+01:00", "2026-01-0{} 12:00+01:00", ["2026-01-04 00:00:00+01:00", "2026-01-04 12:00:00+01:00"]),
    ],
)
def test_blocks_of_texts_are_written_in_one_form(
    tmp_path: Path, suffix: str, first: str, second: str, written: list[str]
) -> None:
    for one, other, expected in ((first, second, written), (second, first, written[::-1])):
        times = [form.format(number) for form in (one, other) for number in (1, 2, 3)]
        panels = list(read_panels(write_series(tmp_path / f"series{suffix}", times), Choice(), rows=3))
        assert [next_time(panel) for panel in panels] == expected


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_numbers_and_fractions_in_different_blocks_are_one_column(tmp_path: Path, suffix: str) -> None:
    path = write_series(tmp_path / f"series{suffix}", ["1", "2", "3", "0.5", "1.0", "1.5"])
    assert [panel.form.dtype for panel in read_panels(path, Choice(), rows=3)] == [pl.Float64] * 2


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("other", ["2026-01-0{}", "2026-01-0{} 12:00+01:00"])
def test_blocks_whose_times_have_no_common_form_are_refused(tmp_path: Path, suffix: str, other: str) -> None:
    first = "{}" if other.endswith("}") else "2026-01-0{}"
    times = [form.format(number) for form in (first, other) for number in (1, 2, 3)]
    path = write_series(tmp_path / f"series{suffix}", times)
    row = 5 if suffix == ".csv" else 4
    with pytest.raises(SeriesError, match=rf"row {row}: ds has .* before this row, and dates with.* from here on"):
        list(read_panels(path, Choice(), rows=3))


def write_series(path: Path, times: list[str]) -> Path:
    """Write two series of three values, and return the file."""
    frame = pl.DataFrame({"unique_id": ["a"] * 3 + ["b"] * 3, "ds": times, "y": np.arange(6.0)})
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def next_time(panel: Panel) -> str:
    at_BS = following(panel.last, panel.frequencies, panel.frequency_B, np.arange(1, 2), panel.form.zone)
    return str(panel.form.written(at_BS.ravel(), panel.last, 1)[0])
