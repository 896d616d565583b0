"""Tests of the page in a real Chromium with one's own data: from a file to a forecast, its backtest and its link."""

import csv
import gzip
import io
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from model.series import read_series
from tests.e2e.browser import chromium
from tests.e2e.test_page import AXE, PHONE, WATCH, WIDE, column, needs_chromium, paste, run, shown
from tests.metrics import metric
from tests.server import Server, serve

pytestmark = needs_chromium

NOISE = np.random.default_rng(1).normal(0, 5, 96)
MONTHLY = [round(100 + 2 * t + 25 * math.sin(math.pi * t / 6) + NOISE.item(t), 1) for t in range(96)]
"""Eight years with a trend, a season and noise."""

Open = Callable[..., Page]


def months(values: list[float], year: int = 2018) -> list[str]:
    return [f"{year + month // 12}-{month % 12 + 1:02}" for month in range(len(values))]


def table(header: str, *columns: list[Any]) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in zip(*columns, strict=True)), ""])


SALES = table("Month,Sales", months(MONTHLY), MONTHLY)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("data"), workers=1) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    """Open the page and wait for its first forecast. At the end, check that it has no faults."""
    contexts: list[tuple[BrowserContext, Page]] = []

    def open_page(fragment: str = "", ready: str = "values forecast", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": WIDE, **options})
        context.set_default_timeout(10_000)
        context.add_init_script(WATCH)
        page = context.new_page()
        contexts.append((context, page))
        page.goto(f"{server.url}/{fragment}")
        expect(page.locator("#summary" if ready == "values forecast" else "#numbers-wrong")).to_contain_text(ready)
        return page

    yield open_page
    for context, page in contexts:
        assert page.evaluate("faults") == []
        context.close()


def choose(page: Page, folder: Path, text: str, name: str = "sales.csv") -> None:
    """Choose a file with this text."""
    file = folder / name
    file.write_text(text)
    page.get_by_role("radio", name="Your data").check()
    page.locator("#file").set_input_files(file)


def finished(page: Page, summary: str) -> None:
    """Wait for the end of a run whose summary has this text."""
    expect(page.locator("#summary")).to_contain_text(summary)
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()


def requested(page: Page) -> dict[str, Any]:
    """Return the body of the request whose code the page shows."""
    body = re.search(r"^\{.*\}$", page.locator("#code").inner_text(), re.MULTILINE)
    assert body is not None
    request: dict[str, Any] = json.loads(body[0])
    return request


def test_a_file_is_dropped_on_the_page(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    file = tmp_path / "sales.csv"
    file.write_text(SALES)
    mouse = page.context.new_cdp_session(page)
    dragged = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        mouse.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": dragged})
    expect(page.locator("body")).to_have_attribute("data-dragged", "true")
    mouse.send("Input.dispatchDragEvent", {"type": "drop", "x": 300, "y": 300, "data": dragged})
    finished(page, "96 values given")
    expect(page.locator("body")).to_have_attribute("data-dragged", "false")
    expect(page.get_by_role("radio", name="Your data")).to_be_checked()
    assert page.inner_text("#read") == "sales.csv: 96 values, 1 month apart, 2018-01 to 2025-12."
    assert requested(page)["sequence"] == MONTHLY


def test_a_file_is_chosen_by_keyboard_and_forecast_by_the_model_for_any_series(
    open_page: Open, server: Server, tmp_path: Path
) -> None:
    page = open_page()
    file = tmp_path / "sales.csv"
    file.write_text(SALES)
    # Playwright does not wait until the browser sends choosers to it. So it listens well before the key is pressed.
    with page.expect_file_chooser(timeout=60_000) as chooser:
        page.get_by_role("radio", name="Sine").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        expect(page.get_by_label("Model", exact=True)).to_have_value("any")
        finished(page, "64 values given")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Choose a CSV")).to_be_focused()
        page.keyboard.press("Space")
    chooser.value.set_files(file)
    finished(page, "96 values given")
    expect(page.get_by_label("Model", exact=True)).to_have_value("any")
    body = {"sequence": MONTHLY, "steps": 24, "model": "any"}
    values = httpx.post(f"{server.url}/generate", json=body).raise_for_status().json()["values"]
    assert column(page, "Forecast") == pytest.approx(values, rel=1e-4)
    assert shown(page.inner_text("#next")) == pytest.approx(values[0], rel=1e-4)


@pytest.mark.parametrize(
    "text", [SALES, SALES.replace(",", "\t"), SALES.partition("\n")[2]], ids=["table", "tabs", "without_names"]
)
def test_a_table_is_pasted(open_page: Open, text: str) -> None:
    page = open_page()
    paste(page, text)
    finished(page, "96 values given")
    assert "1 month apart, 2018-01 to 2025-12" in page.inner_text("#read")
    assert requested(page)["sequence"] == MONTHLY


def test_columns_are_recognised_and_can_be_chosen(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    costs = [round(value / 2, 1) for value in MONTHLY]
    choose(page, tmp_path, table("when,costs,sales,note", months(MONTHLY), costs, MONTHLY, ["-"] * 96))
    wrong = page.locator("#numbers-wrong")
    expect(wrong).to_have_text("Choose the column of values. There are 'when', 'costs', 'sales', 'note'.")
    expect(page.locator("#summary")).to_have_text("")
    page.locator("#columns").get_by_label("Values").select_option("sales")
    finished(page, "96 values given")
    expect(wrong).to_have_text("")
    assert page.get_by_label("Times").evaluate("select => select.selectedOptions[0].text") == "when"
    assert page.inner_text("#read").endswith("Not used: costs, note.")
    assert requested(page)["sequence"] == MONTHLY
    page.locator("#columns").get_by_label("Values").select_option("costs")
    expect(page.locator("#code")).to_contain_text(f'"sequence": [{costs[0]:g}, {costs[1]:g}')
    page.get_by_label("Times").select_option("none")
    finished(page, "96 values given")
    assert page.inner_text("#read").startswith("sales.csv: 96 values. Not used: when")


def test_one_of_several_series_is_chosen_from_a_list(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    other = [1000 - value for value in MONTHLY]
    ids = ["<b>shop & 1</b>"] * 96 + ["shop 2"] * 96
    choose(page, tmp_path, table("unique_id,ds,y", ids, months(MONTHLY) * 2, MONTHLY + other))
    finished(page, "96 values given")
    series = page.get_by_label("Series", exact=True)
    assert series.locator("option").all_inner_texts() == ["<b>shop & 1</b>", "shop 2"]
    assert requested(page)["sequence"] == MONTHLY
    assert "of one of 2 series" in page.inner_text("#read")
    series.select_option("shop 2")
    expect(page.locator("#code")).to_contain_text(f'"sequence": [{other[0]:g}, {other[1]:g}')
    finished(page, "96 values given")
    assert requested(page)["sequence"] == other


def test_the_dates_of_the_file_stand_on_the_axis_and_in_the_table(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    page.evaluate(
        """() => {
          window.drawn = [];
          const draw = CanvasRenderingContext2D.prototype.fillText;
          CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
            drawn.push(text);
            return draw.call(this, text, ...at);
          };
        }"""
    )
    choose(page, tmp_path, SALES)
    finished(page, "24 values forecast")
    expect(page.locator("dl.next dt")).to_have_text("Next value, 2026-01")
    assert column(page, "Given")[0] == MONTHLY[0]
    times = page.locator("#values tbody th").all_inner_texts()
    assert times == months([0.0] * 120)
    assert page.locator("#values thead th").first.inner_text() == "Time"
    drawn = page.evaluate("drawn")
    assert {"2020", "2024"} < set(drawn)
    box = page.locator("#plot .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.5, box["y"] + 20)
    expect(page.locator("#at-time")).to_have_text("2018-01")


def test_the_season_is_shown_and_can_be_told(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    season = page.get_by_label("Season")
    expect(season).to_be_hidden()
    choose(page, tmp_path, SALES)
    expect(season).to_have_value("12")
    expect(page.locator("#season-from")).to_have_text("(found)")
    assert "season" not in requested(page)
    season.fill("6")
    season.press("Enter")
    finished(page, "The season is 6 steps.")
    expect(page.locator("#season-from")).to_have_text("(told)")
    assert requested(page)["season"] == 6
    season.fill("")
    season.press("Enter")
    finished(page, "The season is 12 steps.")
    expect(season).to_have_value("12")
    season.fill("400")
    season.press("Enter")
    expect(page.locator("#trouble")).to_contain_text("Season: input should be less than or equal to 366.")
    choose(page, tmp_path, table("y", [value % 7 for value in range(70)]))
    finished(page, "The season is 7 steps.")
    expect(season).to_have_value("7")


def test_horizon_level_and_model_are_chosen(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    choose(page, tmp_path, SALES)
    finished(page, "24 values forecast")
    run(page, 6)
    finished(page, "6 values forecast")
    page.get_by_label("Interval", exact=True).select_option("80 %")
    finished(page, "the 80 % interval is")
    assert (requested(page)["steps"], requested(page)["level"]) == (6, [80])
    expect(page.get_by_role("list", name="Lines of the plot")).to_contain_text("80 % interval")
    assert len(column(page, "80 % from")) == 6
    page.get_by_label("Model", exact=True).select_option("sine")
    expect(page.locator("#model")).to_contain_text("sine ")
    finished(page, "6 values forecast")
    assert requested(page)["model"] == "sine"


def mase(forecast: list[float], truth: list[float], given: list[float], season: int) -> float:
    error = sum(abs(a - b) for a, b in zip(forecast, truth, strict=True)) / len(truth)
    changes = [abs(a - b) for a, b in zip(given[season:], given[:-season], strict=True)]
    return error / (sum(changes) / len(changes))


def test_a_backtest_compares_the_forecast_with_seasonal_naive(open_page: Open, server: Server, tmp_path: Path) -> None:
    page = open_page()
    switch = page.get_by_role("switch", name="Backtest: hold the last steps back")
    expect(switch).to_be_hidden()
    choose(page, tmp_path, SALES)
    finished(page, "24 values forecast")
    expect(page.locator("#scores")).to_be_hidden()
    switch.check()
    finished(page, "The last 24 values were held back.")
    given, truth = MONTHLY[:-24], MONTHLY[-24:]
    body = {"sequence": given, "steps": 24, "model": "any"}
    values = httpx.post(f"{server.url}/generate", json=body).raise_for_status().json()["values"]
    naive = [given[-12 + step % 12] for step in range(24)]
    assert requested(page)["sequence"] == given
    assert column(page, "Given") == given
    assert column(page, "Truth")[-24:] == truth
    assert column(page, "Forecast") == pytest.approx(values, rel=1e-4)
    assert column(page, "Seasonal naive") == naive
    assert float(page.inner_text("#mase")) == pytest.approx(mase(values, truth, given, 12), abs=0.006)
    assert float(page.inner_text("#mase-naive")) == pytest.approx(mase(naive, truth, given, 12), abs=0.006)
    expect(page.locator("dl.next dt")).to_have_text("Next value, 2024-01")
    assert page.inner_text("#next-truth").startswith(f"truth {truth[0]:g}, off by ")
    run(page, 60)
    finished(page, "The backtest has 48 steps: half of the values.")
    assert len(column(page, "Forecast")) == 48
    switch.uncheck()
    finished(page, "60 values forecast")
    expect(page.locator("#scores")).to_be_hidden()


def test_a_backtest_of_values_that_repeat_exactly_has_no_mase(open_page: Open) -> None:
    page = open_page()
    paste(page, ", ".join(str(value % 7) for value in range(70)))
    run(page, 7)
    page.get_by_role("switch").check()
    finished(page, "MASE is not known for values that repeat exactly, or for so few.")
    assert page.locator("#mase").inner_text() == "\u2013"


@pytest.mark.parametrize("backtest", [False, True], ids=["forecast", "backtest"])
def test_the_forecast_is_downloaded_as_csv(open_page: Open, server: Server, tmp_path: Path, backtest: bool) -> None:
    page = open_page()
    ids = ['say "a, b"'] * 96 + ["c"] * 96
    choose(
        page,
        tmp_path,
        table(
            "unique_id,ds,y", [f'"{id.replace(chr(34), chr(34) * 2)}"' for id in ids], months(MONTHLY) * 2, MONTHLY * 2
        ),
    )
    if backtest:
        page.get_by_role("switch").check()
    finished(page, "held back" if backtest else "96 values given")
    with page.expect_download() as downloaded:
        page.get_by_role("button", name="Download CSV").click()
    assert downloaded.value.suggested_filename == "forecast.csv"
    rows = list(csv.DictReader(io.StringIO(downloaded.value.path().read_text())))
    given = MONTHLY[:-24] if backtest else MONTHLY
    body = {"sequence": given, "steps": 24, "model": "any", "level": [95]}
    answer = httpx.post(f"{server.url}/generate", json=body).raise_for_status().json()
    names = ["unique_id", "ds", "any", "any-lo-95", "any-hi-95"]
    assert list(rows[0]) == [*names, "SeasonalNaive", "y"] if backtest else names
    assert {row["unique_id"] for row in rows} == {'say "a, b"'}
    assert [row["ds"] for row in rows] == months([0.0] * 120)[len(given) : len(given) + 24]
    assert [float(row["any"]) for row in rows] == pytest.approx(answer["values"], rel=1e-9)
    assert [float(row["any-hi-95"]) for row in rows] == pytest.approx(answer["intervals"]["hi-95"], rel=1e-9)
    if backtest:
        assert [float(row["y"]) for row in rows] == MONTHLY[-24:]


def test_a_link_carries_the_choices_and_never_the_data(open_page: Open, tmp_path: Path) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    costs = [round(value / 2, 1) for value in MONTHLY]
    secret = table(
        "secret_id,ds,secret_costs,secret_sales",
        ["secret a"] * 96 + ["secret b"] * 96,
        months(MONTHLY) * 2,
        costs * 2,
        MONTHLY + MONTHLY[::-1],
    )
    choose(page, tmp_path, secret, "secret.csv")
    page.locator("#columns").get_by_label("Values").select_option("secret_sales")
    page.get_by_label("Series", exact=True).select_option("secret b")
    page.get_by_label("Season").fill("6")
    page.get_by_label("Interval", exact=True).select_option("80 %")
    page.get_by_role("switch").check()
    run(page, 18)
    finished(page, "18 values forecast")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#link")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    assert "secret" not in link
    fragment = urlsplit(link).fragment
    assert all(value in ("data",) or re.fullmatch(r"\d{1,2}", value) for _, value in parse_qsl(fragment))
    again = open_page(f"#{fragment}", ready="This link has choices only. Choose, drop or paste your data.")
    expect(again.locator("#summary")).to_have_text("")
    choose(again, tmp_path, secret, "secret.csv")
    finished(again, "18 values forecast")
    assert requested(again) == requested(page)
    assert again.inner_text("#summary") == page.inner_text("#summary")
    assert again.url == page.url


def test_a_link_of_the_sliders_makes_the_same_forecast(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("slider", name="Period").fill("30")
    page.get_by_role("slider", name="Noise").fill("5")
    page.get_by_label("Model", exact=True).select_option("any")
    run(page, 12)
    finished(page, "12 values forecast")
    again = open_page(f"#{urlsplit(page.url).fragment}")
    finished(again, "12 values forecast")
    assert requested(again) == requested(page)
    odd = open_page("#source=nothing&level=1000&steps=-3&period=x&model=none&example=none&series=77&season=1e9")
    finished(odd, "100 values forecast")
    expect(odd.get_by_label("Interval", exact=True)).to_have_value("95")


@pytest.mark.parametrize("name", ["sine", "any"])
def test_each_model_brings_an_example(open_page: Open, server: Server, name: str) -> None:
    page = open_page()
    models = httpx.get(f"{server.url}/models").json()["models"]
    (example,) = [model["example"] for model in models if model["name"] == name]
    page.get_by_role("radio", name="Your data").check()
    page.get_by_label("Example").select_option(f"Example of {name}")
    finished(page, f"{len(example['sequence'])} values given")
    assert (requested(page)["model"], requested(page)["sequence"]) == (name, example["sequence"])
    assert requested(page).get("season", 1) == example["season"]
    expect(page.locator("#warning")).to_be_hidden()
    again = open_page(f"#{urlsplit(page.url).fragment}")
    finished(again, f"{len(example['sequence'])} values given")
    assert requested(again) == requested(page)


def test_a_warning_stands_before_the_number(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    choose(page, tmp_path, SALES)
    finished(page, "96 values given")
    expect(page.locator("#warning")).to_be_hidden()
    page.get_by_label("Model", exact=True).select_option("sine")
    warning = page.get_by_role("note", name="Warning")
    expect(warning).to_contain_text("any is for series of any kind")
    above, below = warning.bounding_box(), page.locator("#next").bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"]


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(SALES.encode()),
        SALES.encode("utf-8-sig"),
        SALES.encode("utf-16"),
        SALES.replace("\n", "\r\n").encode(),
    ],
    ids=["gzip", "mark", "utf-16", "windows"],
)
def test_a_file_may_be_compressed_and_encoded_as_for_training(open_page: Open, tmp_path: Path, content: bytes) -> None:
    page = open_page()
    file = tmp_path / "sales.csv"
    file.write_bytes(content)
    assert read_series(file, "Sales", "Month").values["Sales"].tolist() == MONTHLY
    page.get_by_role("radio", name="Your data").check()
    page.locator("#file").set_input_files(file)
    finished(page, "96 values given")
    assert requested(page)["sequence"] == MONTHLY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SALES.replace("Sales", "Gr\u00f6\u00dfe").encode("latin-1"), "it is not text in UTF-8; save it as UTF-8."),
        (gzip.compress(SALES.encode())[:-20], "its gzip compression is damaged."),
        (b"Month,Sales\n2026-01,\x00\n", "it is not text; a CSV file is needed."),
    ],
    ids=["latin-1", "damaged", "binary"],
)
def test_a_file_that_is_no_text_is_refused(open_page: Open, tmp_path: Path, content: bytes, message: str) -> None:
    page = open_page()
    file = tmp_path / "sales.csv"
    file.write_bytes(content)
    page.get_by_role("radio", name="Your data").check()
    page.locator("#file").set_input_files(file)
    expect(page.locator("#numbers-wrong")).to_have_text(f"The file cannot be read: {message}")


BROKEN = {
    "no numbers": ("ds,y\n2026-01,one\n", "Row 2: y is 'one'; a finite number of at most 1e+15 in size is needed."),
    "a gap": ("ds,y\n2026-01,1\n2026-02,2\n2026-04,4\n", "Row 4: 2 steps of 1 month after row 3; times have to be"),
    "semicolons": ("ds;y\n2026-01;1,5\n", "Row 1: columns are separated by semicolons; commas are needed"),
    "a workbook": ("PK\x03\x04", "The file cannot be read: it is a ZIP archive or an Excel workbook"),
    "nothing": ("", "The file cannot be read: it is empty."),
    "two columns": ("1,2\n3,4\n", "Row 1: a file of several columns has to begin with their names."),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_read_takes_the_stale_forecast_away(
    open_page: Open, tmp_path: Path, text: str, message: str
) -> None:
    page = open_page()
    choose(page, tmp_path, SALES)
    page.get_by_role("switch").check()
    finished(page, "The last 24 values were held back.")
    choose(page, tmp_path, text, "broken.csv")
    alert = page.locator("#numbers-wrong")
    expect(alert).to_contain_text(message)
    assert alert.get_attribute("role") == "alert"
    for gone in ("#next", "#summary", "#so-far", "#predict-ms", "#first-ms", "#rate", "#read", "#next-time"):
        expect(page.locator(gone)).to_have_text("")
    expect(page.locator("#scores")).to_be_hidden()
    expect(page.get_by_role("button", name="Download CSV")).to_be_disabled()
    choose(page, tmp_path, SALES)
    finished(page, "The last 24 values were held back.")


def test_wrong_numbers_and_refusals_take_the_stale_forecast_away(open_page: Open) -> None:
    page = open_page()
    paste(page, "1, 2, 3, 4")
    finished(page, "4 values given")
    paste(page, "1, 2, three")
    expect(page.locator("#numbers-wrong")).to_have_text("Value 3 of 3 is not a number: “three”.")
    expect(page.locator("#next")).to_have_text("")
    expect(page.locator("#summary")).to_have_text("")
    paste(page, "1, 2, 3, 4")
    finished(page, "4 values given")
    run(page, 0)
    expect(page.locator("#trouble")).to_contain_text("Steps: input should be greater than or equal to 1.")
    expect(page.locator("#next")).to_have_text("")
    assert "forecast" not in page.inner_text("#summary")


def test_gaps_are_filled_on_request(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    fill = page.get_by_label("Gaps")
    choose(page, tmp_path, SALES)
    finished(page, "96 values given")
    expect(fill).to_be_hidden()
    lines = SALES.splitlines(keepends=True)
    choose(page, tmp_path, "".join(lines[:50] + lines[51:]))
    expect(page.locator("#numbers-wrong")).to_contain_text("2 steps of 1 month after row 50")
    fill.select_option("straight line")
    finished(page, "96 values given")
    assert page.inner_text("#read").endswith("2018-01 to 2025-12; 1 filled.")
    between = (MONTHLY[48] + MONTHLY[50]) / 2
    assert requested(page)["sequence"] == pytest.approx([*MONTHLY[:49], between, *MONTHLY[50:]])


def test_a_series_that_is_longer_than_the_service_allows_gives_its_last_values(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    values = [round(math.sin(t / 4), 4) + (t // 100) for t in range(5000)]
    choose(page, tmp_path, table("y", values))
    finished(page, "The model is given the last 4,096 values of 5,000.")
    assert requested(page)["sequence"] == values[-4096:]
    assert "Drawn are the last 1,200 steps." in page.inner_text("#summary")
    page.locator("#values summary").click()
    expect(page.locator("#values tbody th").last).to_be_visible()
    page.get_by_role("switch").check()
    finished(page, "The last 24 values were held back.")
    assert requested(page)["sequence"] == values[:-24][-4096:]


def test_the_counter_of_the_kernel_is_the_services_own(open_page: Open, server: Server) -> None:
    names = ("sine_steps_total", "sine_model_seconds_total")
    page = open_page()
    expect(page.locator("#rate")).to_have_text(re.compile(r"^[\d,]+$"))
    before = [metric(server.url, name) for name in names]
    page.locator("#rate").evaluate("element => { element.textContent = '' }")
    run(page, 5000)
    expect(page.locator("#rate")).to_have_text(re.compile(r"^[\d,]+$"))
    after = [metric(server.url, name) for name in names]
    steps, seconds = (b - a for a, b in zip(before, after, strict=True))
    assert shown(page.inner_text("#rate")) == pytest.approx(steps / seconds, rel=0.01)


def test_the_data_leave_the_page_in_the_requests_of_the_forecast_alone(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    sent: list[tuple[str, str | None]] = []
    page.on("request", lambda request: sent.append((urlsplit(request.url).path, request.post_data)))
    choose(page, tmp_path, SALES, "secret.csv")
    finished(page, "96 values given")
    assert {path for path, body in sent if body} == {"/predict", "/generate/stream"}
    assert not any("secret" in f"{path} {body}" for path, body in sent)


@pytest.mark.parametrize("viewport", [WIDE, PHONE, {"width": 2560, "height": 1300}], ids=["wide", "phone", "2560"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_panel_is_accessible_and_the_controls_fit_one_screen(
    open_page: Open, tmp_path: Path, scheme: str, viewport: dict[str, int]
) -> None:
    page = open_page(color_scheme=scheme, viewport=viewport)
    ids = ["shop 1"] * 96 + ["shop 2"] * 96
    choose(page, tmp_path, table("unique_id,ds,y", ids, months(MONTHLY) * 2, MONTHLY * 2))
    page.get_by_role("switch").check()
    finished(page, "held back")
    page.evaluate(f"{AXE}; undefined")
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
    assert len(found["passes"]) > 20
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    controls = page.locator("#controls").bounding_box()
    plot = page.locator("#plot").bounding_box()
    assert controls is not None
    assert plot is not None
    assert controls["height"] <= viewport["height"]
    if viewport["width"] > WIDE["width"]:
        assert controls["x"] + controls["width"] > 0.95 * viewport["width"]
        assert plot["width"] > 0.7 * viewport["width"]


def test_a_keyboard_reaches_every_control_of_the_panel(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    ids = ["shop 1"] * 96 + ["shop 2"] * 96
    choose(page, tmp_path, table("unique_id,ds,y", ids, months(MONTHLY) * 2, MONTHLY * 2))
    finished(page, "96 values given")
    page.get_by_role("radio", name="Your data").focus()
    reached = []
    for _ in range(13):
        page.keyboard.press("Tab")
        name, outlined = page.evaluate(
            """() => {
              const focused = document.activeElement;
              return [focused.id, getComputedStyle(focused).outlineStyle];
            }"""
        )
        assert outlined == "solid", name
        reached.append(name)
    assert reached == [
        *("choose", "example", "numbers", "value", "time", "id", "series"),
        *("model-name", "season", "steps", "level", "backtest", "run"),
    ]
