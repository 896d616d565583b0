"""Tests that the page and training read files alike: columns, order, dates, gaps, and what is wrong."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Page

from model.series import SeriesError, read_series
from tests.e2e.browser import chromium
from tests.e2e.test_page import needs_chromium
from tests.server import serve

pytestmark = needs_chromium

READ = """async ([text, fill]) => {
  const at = (name) => import(new URL(`series/${name}.js`, document.baseURI));
  const rooms = ["table", "columns", "reading"].map(at);
  const [{ readTable }, { recognised }, { seriesOf, readSeries }] = await Promise.all(rooms);
  try {
    const table = readTable(text);
    const choice = recognised(table);
    const all = [...seriesOf(table, choice)];
    const read = all.map(([name, rows]) => [name, readSeries(table, choice, name, rows, fill)]);
    const after = ({ calendar, values }) => calendar && [0, 1, 2].map((step) => calendar.label(values.length + step));
    return {
      choice,
      values: Object.fromEntries(read.map(([name, { values }]) => [name, values])),
      after: read.map(([, series]) => after(series)),
    };
  } catch (error) {
    return { error: error.message };
  }
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with serve(tmp_path_factory.mktemp("series"), workers=1) as server, chromium() as browser:
        page = browser.new_page()
        page.goto(server.url)
        yield page


def read_by_page(page: Page, text: str, fill: str = "") -> dict[str, Any]:
    read: dict[str, Any] = page.evaluate(READ, [text, fill])
    return read


def series(header: str, *lines: str) -> str:
    return "\n".join([header, *lines, ""])


def dated(*dates: str) -> str:
    return series("ds,y", *(f"{date},{number}" for number, date in enumerate(dates)))


READABLE = {
    "no name": "1\n2\n3\n",
    "scientific": series("y", "+1", "-2.", ".5", "1e3"),
    "any name": series("Passengers", "112", "118"),
    "row numbers": series(",y", "0,1", "1,2"),
    "spaces": series(" ds , y ", " 1 , 5 ", " 2 , 6 "),
    "quotes": series("ds,y", '"1","5"', '2,"6"'),
    "windows": "ds,y\r\n1,5\r\n2,6\r\n",
    "a mark": "\ufeffds,y\n1,5\n2,6\n",
    "empty end": "y\n1\n2\n\n\n",
    "another order": dated("2026-01-03", "2026-01-01", "2026-01-02"),
    "months": dated("2025-11", "2025-12", "2026-01"),
    "ends of months": dated("2025-12-31", "2026-01-31", "2026-02-28"),
    "quarters": dated("2025-01-01", "2025-04-01", "2025-07-01"),
    "years": dated("2024-01-01", "2025-01-01", "2026-01-01"),
    "halves of months": dated("2025-01-01", "2025-01-15", "2025-02-01"),
    "business days": dated("2026-01-30", "2026-02-02", "2026-02-03", "2026-02-04"),
    "weeks": dated("2026/01/05", "2026/01/12", "2026/01/19"),
    "hours": dated("2026-01-31 22:00", "2026-01-31 23:00", "2026-02-01 00:00"),
    "seconds": dated("2026-01-31T22:00:30Z", "2026-01-31T22:01:00Z"),
    "summer time": dated("2026-03-28 00:00+01:00", "2026-03-29 00:00+01:00", "2026-03-30 00:00+02:00"),
    "numbers for times": dated("0.1", "0.2", "0.3"),
    "several": series("unique_id,ds,y", "b,1,1", "a,1,2", "b,2,3", "a,2,4"),
    "a series of names": series("unique_id,y", "b,1", "a,2", "b,3"),
}

REFUSED = {
    "text": series("y", "1", "two"),
    "too large": series("y", "1", "1.1e15"),
    "infinite": "1\ninf\n",
    "a name that begins with a digit": "12abc\n1\n2\n",
    "two names": series("y,y", "1,2"),
    "no names": "1,2\n3,4\n",
    "more fields": series("ds,y", "1,2,3"),
    "semicolons": series("ds;y", "2026-01-01;1,5"),
    "tabs": series("ds\ty", "1\t1"),
    "names later": "\n\ny\n1\n",
    "a date that is none": dated("2026-01-01", "2026-01-02", "2026-13-03"),
    "a date of another form": dated("31/12/2026", "01/01/2027"),
    "a date without offset": dated("2026-01-01", "2026-01-02T00:00Z"),
    "months as numbers": dated("202511", "202512", "202601"),
    "days as numbers": dated("20260130", "20260131", "20260201"),
    "uneven": dated("1", "2", "3", "3.5", "4.5"),
    "uneven days": dated("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-03 12:00"),
    "no time": series("ds,y", "1,1", ",2"),
    "no id": series("unique_id,ds,y", "a,1,1", ",2,2"),
    "the same time": series("unique_id,ds,y", "a,1,1", "a,2,2", "b,1,1", "b,1,1"),
    "lines in quotes": 'note,y\n"two\nlines",1\n"",bad\n',
}


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_a_file_that_training_reads_is_read_alike(page: Page, tmp_path: Path, text: str) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(text.encode())
    expected = {name: values.tolist() for name, values in read_series(file).values.items()}
    assert read_by_page(page, text).get("values") == expected


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_a_file_that_training_refuses_is_refused_in_the_same_words(page: Page, tmp_path: Path, text: str) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(text.encode())
    with pytest.raises(SeriesError) as refused:
        read_series(file)
    why = str(refused.value).removeprefix(str(file)).lstrip(",: ")
    assert read_by_page(page, text)["error"].lower() == f"{why}.".lower()


@pytest.mark.parametrize(
    "text",
    [
        series("Month,Passengers", "1949-01,112", "1949-02,118"),
        series("date,store,sales", "2026-01-01,a,1", "2026-01-02,a,2", "2026-01-01,b,1", "2026-01-02,b,3"),
        series("n,y", "3,3", "2,2", "1,1"),
        series("shop,y", "a,1", "a,2", "b,1", "b,2"),
        series("storeId,ds,y", "a,1,1", "a,2,2", "b,3,1", "b,4,2"),
        series("timestamp,y", "2026-01-01,2", "2026-01-02,3"),
    ],
)
def test_columns_that_training_asks_for_are_proposed(page: Page, tmp_path: Path, text: str) -> None:
    file = tmp_path / "file.csv"
    file.write_text(text)
    with pytest.raises(SeriesError, match=r"--(time|id|column)"):
        read_series(file)
    read = read_by_page(page, text)
    choice = read["choice"]
    chosen = read_series(file, choice.get("value"), choice.get("time"), choice.get("id"))
    assert read["values"] == {name: values.tolist() for name, values in chosen.values.items()}


@pytest.mark.parametrize("fill", ["previous", "linear", "zero"])
@pytest.mark.parametrize(
    "text", [dated("2026-01", "2026-02", "2026-05"), series("y", "1", "NA", "", "7"), series("y", "", "5", "NaN")]
)
def test_gaps_are_filled_alike(page: Page, tmp_path: Path, text: str, fill: Any) -> None:
    file = tmp_path / "file.csv"
    file.write_text(text)
    read = read_by_page(page, text, fill)
    if "error" in read:
        with pytest.raises(SeriesError, match=rf"(?i){re.escape(read['error'].partition(';')[0])}"):
            read_series(file, fill=fill)
    else:
        assert read["values"]["y"] == pytest.approx(read_series(file, fill=fill).values["y"].tolist())


@pytest.mark.parametrize("every", ["1d", "1w", "1mo", "3mo", "1y", "1h", "15m"])
def test_the_times_after_a_series_go_on_as_the_calendar_does(page: Page, every: str) -> None:
    clock = " %H:%M" if every in ("1h", "15m") else ""
    start, end = pl.datetime(2023, 11, 1), pl.datetime(2063, 12, 31)
    times = pl.select(pl.datetime_range(start, end, every)).to_series().head(40)
    texts = times.dt.strftime(f"%Y-%m-%d{clock}").to_list()
    for given in itertools.chain(range(2, len(texts) - 3, 7), [len(texts) - 3]):
        read = read_by_page(page, dated(*texts[:given]))
        assert read["after"] == [texts[given : given + 3]]


@pytest.mark.parametrize(
    ("dates", "after"),
    [
        (["2025-11", "2025-12"], ["2026-01", "2026-02", "2026-03"]),
        (["2025-12-31", "2026-01-31"], ["2026-02-28", "2026-03-31", "2026-04-30"]),
        (["2026-01-29", "2026-01-30", "2026-02-02"], ["2026-02-03", "2026-02-04", "2026-02-05"]),
        (["2026-02-03", "2026-02-04", "2026-02-05", "2026-02-06", "2026-02-09", "2026-02-10"],
         ["2026-02-11", "2026-02-12", "2026-02-13"]),
        (["2025-01-01", "2025-01-15", "2025-02-01"], ["2025-02-15", "2025-03-01", "2025-03-15"]),
        (["2026/01/01", "2026/01/08"], ["2026/01/15", "2026/01/22", "2026/01/29"]),
        (["2026-01-01T10:00:30Z", "2026-01-01T10:01:00Z"],
         ["2026-01-01T10:01:30Z", "2026-01-01T10:02:00Z", "2026-01-01T10:02:30Z"]),
        (["1949", "1950"], ["1951", "1952", "1953"]),
        (["0.1", "0.2"], ["0.3", "0.4", "0.5"]),
    ],
)  # fmt: skip
def test_the_times_after_a_series_have_its_form(page: Page, dates: list[str], after: list[str]) -> None:
    assert read_by_page(page, dated(*dates))["after"] == [after]


MAKE_LONG = """() => {
  const minute = (number) => new Date(60_000 * number).toISOString().slice(0, 16).replace("T", " ");
  const rows = Array.from({ length: 150_000 }, (_, number) => `${minute(number)},${number % 1000}`);
  window.long = ["ds,y", ...rows].join("\\n");
}"""


def test_a_series_may_have_more_values_than_a_function_may_have_arguments(page: Page) -> None:
    page.evaluate(MAKE_LONG)
    read = page.evaluate(
        f"async () => {{ const {{ values, after }} = await ({READ})([long, '']); "
        "return [values.y.length, values.y.at(-1), after] }"
    )
    assert read == [150_000, 999, [["1970-04-15 04:00", "1970-04-15 04:01", "1970-04-15 04:02"]]]
