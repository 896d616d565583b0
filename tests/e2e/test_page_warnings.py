"""Tests of the page in a real Chromium: a forecast that does not fit says so before its number."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from model.metadata import Fitting
from tests.artifacts import make_small_artifact, some_intervals
from tests.e2e.browser import chromium
from tests.e2e.test_page import AXE, PHONE, WATCH, WIDE, column, needs_chromium, paste, run, shown, stroke
from tests.server import Server, serve

pytestmark = needs_chromium

NEVER = "<b>never</b> " + "-" * 120
"""The name of the model that no sequence fits. It looks like HTML, and is too long for a line."""

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a model that no sequence fits, one that every sequence fits, and one that was made before there was a fit.

    The first one is the default.
    """
    folder = tmp_path_factory.mktemp("warnings")
    intervals = some_intervals(contexts=(4, 16), horizon=100)
    never = Fitting(contexts=[8], clean=[1e-3], noisiest=[0.02], largest_ratio=[2.0])
    always = never.model_copy(update={"largest_ratio": [1e9]})
    model = make_small_artifact(folder, fit=never, intervals=intervals, called=NEVER, hidden=48)
    make_small_artifact(folder, fit=always, intervals=intervals, name="always.pt", called="always", hidden=48)
    make_small_artifact(folder, intervals=intervals, name="old.pt", called="old", hidden=48)
    with serve(folder, model=model, models=folder, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    """Open the page and wait for its first forecast. At the end, check that it has no faults."""
    pages: list[Page] = []

    def open_page(script: str = "", **options: Any) -> Page:
        page = browser.new_page(**{"viewport": WIDE, **options})
        page.add_init_script(WATCH + script)
        pages.append(page)
        page.goto(server.url)
        expect(page.locator("#status")).to_contain_text("100 values forecast")
        return page

    yield open_page
    for page in pages:
        assert page.evaluate("faults") == []
        page.close()


def choose(page: Page, model: str) -> None:
    page.get_by_label("Model", exact=True).select_option(model)
    expect(page.locator("#model")).to_contain_text(f"{model} 1")
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_warning_stands_before_the_number_at_its_size(
    open_page: Open, server: Server, scheme: str, viewport: dict[str, int]
) -> None:
    page = open_page(color_scheme=scheme, viewport=viewport)
    warning, number = page.get_by_role("note", name="Warning"), page.locator("#next")
    expect(warning).to_be_visible()
    answer = httpx.post(f"{server.url}/predict", json={"sequence": column(page, "Given")}).json()
    said = answer["warnings"][0]
    assert warning.locator("strong").inner_text() == "Not to be trusted"
    assert warning.locator("p").all_inner_texts() == [said[0].upper() + said[1:] + "."]
    title = warning.locator("strong")
    assert title.evaluate("element => getComputedStyle(element).fontSize") == number.evaluate(
        "element => getComputedStyle(element).fontSize"
    )
    above, below = title.bounding_box(), number.bounding_box()
    assert above is not None
    assert below is not None
    assert above["x"] == below["x"]
    assert above["y"] < below["y"] < viewport["height"]
    assert re.match(r"The sequence is not of the kind .* Next value .* Not to be trusted\.", page.inner_text("#status"))
    assert page.inner_text("#summary").startswith("Not to be trusted.")
    assert page.locator("#plot").get_attribute("aria-describedby") == "warning summary"
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    page.evaluate(f"{AXE}; undefined")
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
    assert len(found["passes"]) > 20


def test_the_number_is_never_shown_without_its_warning(open_page: Open) -> None:
    page = open_page(
        """
        window.seen = [];
        addEventListener("DOMContentLoaded", () => {
          const [warning, next] = ["warning", "next"].map((id) => document.getElementById(id));
          new MutationObserver(() => {
            if (next.textContent) seen.push(!warning.hidden && warning.textContent.includes("missed"));
          }).observe(next, { childList: true });
        });
        """
    )
    run(page, 5000)
    expect(page.locator("#so-far")).to_have_text("5,000")
    page.get_by_role("slider", name="Period").fill("30")
    expect(page.locator("#status")).to_contain_text("5,000 values forecast, from")
    seen = page.evaluate("seen")
    assert len(seen) > 10
    assert all(seen)


def test_a_model_that_fits_says_quietly_how_well(open_page: Open, server: Server) -> None:
    page = open_page()
    choose(page, "always")
    expect(page.locator("#summary")).to_contain_text("; the interval follows from that.")
    expect(page.locator("#warning")).to_be_hidden()
    expect(page.locator("body")).not_to_contain_text("trusted")
    body = {"sequence": column(page, "Given"), "model": "always", "diagnostics": True}
    fit = httpx.post(f"{server.url}/predict", json=body).json()["fit"]
    said = r"The model missed the last 16 given values by ([\d.]+) on average, ([\d.]+) times the expected error"
    found = re.search(said, page.inner_text("#summary"))
    assert found is not None
    assert [float(number) for number in found.groups()] == pytest.approx([fit["residual"], fit["ratio"]], rel=0.05)
    choose(page, NEVER)
    expect(page.locator("#warning")).to_be_visible()
    expect(page.locator("#summary")).to_contain_text("but was not calibrated for such values")


def test_fewer_than_eight_values_have_neither_fit_nor_warning(open_page: Open) -> None:
    page = open_page()
    paste(page, "1, 2, 3, 4, 5, 6, 7")
    expect(page.locator("#summary")).to_contain_text("7 values given")
    expect(page.locator("#warning")).to_be_hidden()
    assert "missed" not in page.inner_text("#summary")
    paste(page, "1, 2, 3, 4, 5, 6, 7, 8")
    expect(page.locator("#warning")).to_be_visible()
    run(page, 0)
    expect(page.locator("#trouble")).to_contain_text("refused")
    expect(page.locator("#next")).to_have_text("")
    expect(page.locator("#warning")).to_be_hidden()


def test_a_model_without_fit_says_what_its_interval_is_of(open_page: Open) -> None:
    page = open_page()
    choose(page, "old")
    expect(page.locator("#summary")).not_to_contain_text("missed")
    assert "farther off" not in page.inner_text("#summary")
    page.get_by_role("slider", name="Noise").fill("10")
    said = "The interval is that of sequences like those that the model learned from; others can be farther off."
    expect(page.locator("#summary")).to_contain_text(said)
    choose(page, "always")
    expect(page.locator("#summary")).to_contain_text("; the interval follows from that.")
    assert "farther off" not in page.inner_text("#summary")


def test_a_wide_interval_leaves_the_lines_a_third_of_the_plot(open_page: Open) -> None:
    """A stroke shows the scale of the plot, because it takes its values from there."""
    page = open_page()
    expect(page.locator("#summary")).to_contain_text(re.compile(r"±\d{3,} at the end"))
    box = page.locator("#plot .u-over").bounding_box()
    assert box is not None
    for number, (x, y) in enumerate(stroke()):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("radio", name="Draw")).to_be_checked()
    expect(page.locator("#summary")).not_to_contain_text("64 values given")
    assert 1 < max(map(abs, column(page, "Given"))) < 3
    assert shown(page.inner_text("#so-far")) == 100
