"""Tests of the page at / in a real Chromium against a real server."""

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.keys import line, new_key
from tests.artifacts import make_small_artifact, some_intervals
from tests.e2e.browser import CHROMIUM, chromium
from tests.metrics import metric, steps_after_they_stop_rising
from tests.server import Server, serve

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

AXE = (Path(__file__).parent / "vendor" / "axe" / "axe.min.js").read_text()

LONG = 10_000_000
"""The steps of a 200 MB answer, which takes minutes on a network that is `limited`."""

expect.set_options(timeout=15_000)  # for a busy machine

WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 375, "height": 812}

# The script collects errors and what the policy forbids: inline code and content from elsewhere. Tests expect none.
WATCH = """
window.faults = [];
addEventListener("securitypolicyviolation", (event) => faults.push(`CSP ${event.violatedDirective}`));
addEventListener("error", (event) => faults.push(String(event.message)), true);
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("page"), workers=1, max_steps=LONG) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    """Open the page and wait for its first forecast. At the end, check that the page reported nothing.

    `expected` is a pattern for allowed lines of the console, since a browser reports each refused or failed request.
    """
    contexts: list[tuple[BrowserContext, Page, list[str], str]] = []

    def open_page(expected: str = "$^", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": WIDE, **options})
        context.set_default_timeout(10_000)
        context.add_init_script(WATCH)
        page = context.new_page()
        reported: list[str] = []
        page.on("console", lambda message: reported.append(message.text))
        page.on("pageerror", lambda error: reported.append(str(error)))
        contexts.append((context, page, reported, expected))
        page.goto(server.url)
        expect(page.locator("#summary")).to_contain_text("100 values forecast")
        return page

    yield open_page
    for context, page, reported, expected in contexts:
        assert page.evaluate("faults") == []
        assert [line for line in reported if not re.search(expected, line)] == []
        context.close()


def limited(page: Page, bytes_per_second: int) -> None:
    """Limit the page to this many bytes a second, so that a stream lasts on any machine."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    speeds = {"downloadThroughput": bytes_per_second, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", {"offline": False, "latency": 0, **speeds})


def run(page: Page, steps: int) -> None:
    page.get_by_label("Horizon, in steps").fill(str(steps))
    page.get_by_role("button", name="Run").click()


def paste(page: Page, numbers: str) -> None:
    page.get_by_role("radio", name="Your data").check()
    page.get_by_label("Drop it, or paste a table or numbers").fill(numbers)


def shown(text: str) -> float:
    return float(text.replace("\u2212", "-").replace(",", ""))


def column(page: Page, name: str) -> list[float]:
    """Open the table and return the numbers of a column."""
    page.locator("#values").evaluate("element => { element.open = false; element.open = true }")
    names = page.locator("#values thead th").all_inner_texts()
    cells = page.locator("#values tbody tr").evaluate_all(
        "(rows, column) => rows.map((row) => row.cells[column].textContent)", names.index(name)
    )
    return [shown(cell) for cell in cells if cell]


def generate(server: Server, sequence: list[float], steps: int, model: str = "sine") -> list[float]:
    body = {"sequence": sequence, "steps": steps, "model": model}
    answer = httpx.post(f"{server.url}/generate", json=body)
    values: list[float] = answer.raise_for_status().json()["values"]
    return values


def executed_steps(server: Server) -> float:
    return metric(server.url, "sine_steps_total")


def test_the_page_allows_its_own_files_and_nothing_else(server: Server) -> None:
    page = httpx.get(server.url)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {"main.js", "style.css"} < set(files)
    for file in files:
        answer = httpx.get(urljoin(server.url, file))
        assert answer.status_code == 200, file
        assert str(answer.url).startswith(server.url)
    script = httpx.get(f"{server.url}/main.js")
    assert "javascript" in script.headers["content-type"]
    assert script.headers["x-content-type-options"] == "nosniff"
    assert script.headers["cache-control"] == "no-cache"
    again = httpx.get(f"{server.url}/main.js", headers={"if-none-match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@needs_chromium
def test_values_that_are_no_sine_go_to_the_model_for_any_series(open_page: Open) -> None:
    page = open_page()
    model = page.get_by_label("Model", exact=True)
    expect(model).to_have_value("sine")
    paste(page, ", ".join(str(100 + t + 20 * (t % 12)) for t in range(60)))
    expect(model).to_have_value("any")
    expect(page.locator("#summary")).to_contain_text("The season is 12 steps.")
    expect(page.locator("#model")).to_contain_text("any ")
    page.get_by_role("radio", name="Sine").check()
    expect(model).to_have_value("sine")
    model.select_option("any")
    page.get_by_role("radio", name="Your data").check()
    model.select_option("sine")
    page.get_by_role("radio", name="Sine").check()
    page.get_by_role("radio", name="Your data").check()
    expect(model).to_have_value("sine")


@pytest.mark.parametrize("path", ["/static/main.js", "/vendor", "/../main.py", "/%2e%2e/main.py", "/%00"])
def test_other_paths_are_a_404(server: Server, path: str) -> None:
    answer = httpx.get(httpx.URL(server.url, raw_path=path.encode()))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_page_takes_no_path_from_the_service(server: Server) -> None:
    refused = httpx.get(f"{server.url}/predict")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert "content-security-policy" not in httpx.get(f"{server.url}/docs").headers


@needs_chromium
def test_a_sine_is_forecast_at_once(open_page: Open, server: Server) -> None:
    page = open_page()
    wave = [round(math.sin(2 * math.pi * t / 25), 6) for t in range(64)]
    assert column(page, "Given") == pytest.approx(wave, rel=1e-4, abs=1e-6)
    assert column(page, "Forecast") == pytest.approx(generate(server, wave, 100), rel=1e-4)
    truth = [math.sin(2 * math.pi * t / 25) for t in range(164)]
    assert column(page, "Truth") == pytest.approx(truth, rel=1e-4, abs=1e-6)
    assert len(column(page, "95 % from")) == 100
    predicted = httpx.post(f"{server.url}/predict", json={"sequence": wave}).json()["prediction"]
    assert shown(page.inner_text("#next")) == pytest.approx(predicted, rel=1e-4)
    assert page.inner_text("#next-truth").startswith("truth \u22120.36812, off by 0.000")
    assert (page.inner_text("#so-far"), page.inner_text("#expected")) == ("100", "100")
    expect(page.locator("#rate")).to_have_text(re.compile(r"^[\d,]+$"))
    for counter in ("#predict-ms", "#first-ms"):
        expect(page.locator(counter)).to_have_text(re.compile(r"^[\d.]+ ms$"))
    info = httpx.get(f"{server.url}/model").json()
    for fact in (info["version"], info["runtime"], info["device"], info["digest"][:12]):
        assert fact in page.inner_text("#model")


@needs_chromium
def test_the_sliders_change_the_wave(open_page: Open, server: Server) -> None:
    page = open_page()
    for name, value in {"Period": 16, "Amplitude": 3, "Noise": 10, "Values": 40}.items():
        page.get_by_role("slider", name=re.compile(f"^{name}")).fill(str(value))
    expect(page.locator("#summary")).to_contain_text("40 values given")
    given, truth = column(page, "Given"), column(page, "Truth")
    assert truth == pytest.approx([3 * math.sin(2 * math.pi * t / 16) for t in range(140)], rel=1e-4, abs=1e-6)
    noise = [a - b for a, b in zip(given, truth, strict=False)]
    assert 0.15 < math.sqrt(sum(n * n for n in noise) / len(noise)) < 0.45
    assert column(page, "Forecast") == pytest.approx(generate(server, given, 100), abs=1e-2)
    expect(page.locator("#summary")).to_contain_text(re.compile("others can be farther off|interval follows from that"))
    page.get_by_role("slider", name="Period").fill("90")
    expect(page.locator("#summary")).to_contain_text("learned periods of 8 to 64 samples only")


@needs_chromium
def test_a_rollout_is_shown_as_it_comes(open_page: Open, server: Server) -> None:
    page = open_page()
    page.evaluate(
        """() => {
          window.seen = [];
          const look = () => seen.push(document.getElementById("so-far").textContent);
          new MutationObserver(look).observe(document.getElementById("so-far"), { childList: true });
        }"""
    )
    limited(page, 4_000_000)
    run(page, 200_000)
    expect(page.locator("#so-far")).to_have_text("200,000")
    counts = [shown(text) for text in page.evaluate("seen")]
    assert counts == sorted(counts)
    assert len(set(counts)) > 10
    expect(page.locator("#summary")).to_contain_text("Intervals are known for up to 256 steps.")
    expect(page.locator("#summary")).to_contain_text("Drawn are the last 1,200 steps.")
    assert page.locator("#values caption").count() == 0
    assert len(column(page, "Forecast")) == 500 - 64
    assert page.inner_text("#values caption") == "Steps 0 to 499 of 200,064"


@needs_chromium
def test_cancel_stops_the_work_too(open_page: Open, server: Server) -> None:
    page = open_page()
    before = executed_steps(server)
    limited(page, 1_000_000)
    run(page, LONG)
    expect(page.locator("#expected")).to_have_text("10,000,000")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#summary")).to_contain_text("Cancelled after")
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
    expect(page.get_by_role("button", name="Run")).to_be_focused()
    assert page.inner_text("#trouble") == ""
    assert steps_after_they_stop_rising(server.url) - before < LONG / 2


@needs_chromium
def test_numbers_are_read_whatever_is_between_them(open_page: Open, server: Server) -> None:
    page = open_page()
    texts: dict[str, list[float]] = {
        "1, 2, 3.5": [1, 2, 3.5],
        "[1,\n 2,\t-3e-1, 4]": [1, 2, -0.3, 4],
        "1;2,5;3": [1, 2.5, 3],
        "\u22121\n2": [-1, 2],
    }
    for text, values in texts.items():
        paste(page, text)
        expect(page.locator("#summary")).to_contain_text(f"{len(values)} values given")
        assert page.inner_text("#numbers-wrong") == ""
        assert column(page, "Given") == values
        assert column(page, "Forecast") == pytest.approx(generate(server, values, 100, "any"), rel=1e-4)


@needs_chromium
def test_invalid_numbers_are_explained(open_page: Open) -> None:
    page = open_page()
    for text, wrong in {
        "1, 2, <b>three</b>, 4": "Value 3 of 4 is not a number: “<b>three</b>”.",
        "1e999": "Value 1 of 1 is too large: “1e999”.",
        "0,5 0,25": "These commas could be decimal points or stand between numbers. Write 0.5, or put ; between them.",
        " ": "Paste at least one number.",
    }.items():
        paste(page, text)
        expect(page.locator("#numbers-wrong")).to_have_text(wrong)
        assert page.locator("#numbers").get_attribute("aria-invalid") == "true"
    paste(page, "1 2 3")
    expect(page.locator("#numbers-wrong")).to_have_text("")
    assert page.locator("#numbers").get_attribute("aria-invalid") == "false"


def stroke() -> list[tuple[float, float]]:
    """Return two periods of a wave across half of the plot, in fractions of its width and height."""
    return [(0.02 + 0.5 * i / 40, 0.5 - 0.3 * math.sin(2 * math.pi * 2 * i / 40)) for i in range(41)]


def is_the_stroke(values: list[float]) -> bool:
    """Tell whether `values` are the drawn ones: two periods, with a value for each step that the mouse passed."""
    turns = sum(a * b < 0 for a, b in pairwise(values))
    return 70 < len(values) < 95 and turns in (3, 4) and max(values) == pytest.approx(-min(values), rel=0.2)


@needs_chromium
def test_a_wave_is_drawn_with_the_mouse(open_page: Open, server: Server) -> None:
    page = open_page()
    box = page.locator("#plot .u-over").bounding_box()
    assert box is not None
    for number, (x, y) in enumerate(stroke()):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    expect(page.locator("#summary")).not_to_contain_text("64 values given")
    expect(page.get_by_role("radio", name="Draw")).to_be_checked()
    expect(page.locator("#difference-name")).to_have_text("Interval around the forecast")
    given = column(page, "Given")
    assert is_the_stroke(given)
    assert column(page, "Forecast") == pytest.approx(generate(server, given, 100, "any"), abs=1e-2)
    assert page.locator("#next-truth").inner_text().strip() == ""
    page.get_by_role("radio", name="Your data").check()
    pasted = [float(number) for number in page.locator("#numbers").input_value().split(",")]
    assert pasted == pytest.approx(given, rel=1e-4), "the drawn wave can be edited as numbers"


@needs_chromium
def test_a_click_on_the_plot_changes_nothing(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#status")).to_contain_text("values forecast")  # which replaces any other status
    before = page.inner_text("#summary")
    page.locator("#plot .u-over").click()
    expect(page.locator("#status")).to_contain_text("too short")
    assert page.inner_text("#summary") == before


@needs_chromium
def test_a_finger_draws_where_it_is_asked_to_and_scrolls_elsewhere(open_page: Open) -> None:
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True)
    surface = page.locator("#plot .u-over")
    surface.scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)

    def draw() -> None:
        box = surface.bounding_box()
        assert box is not None
        for number, (x, y) in enumerate(stroke()):
            point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
            kind = "touchMove" if number else "touchStart"
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    draw()
    expect(page.get_by_role("radio", name="Sine")).to_be_checked()
    page.get_by_role("radio", name="Draw").check()
    surface.scroll_into_view_if_needed()
    draw()
    expect(page.locator("#summary")).not_to_contain_text("64 values given")
    assert is_the_stroke(column(page, "Given"))


@needs_chromium
def test_a_refusal_is_explained_in_words(open_page: Open) -> None:
    page = open_page(expected="status of 422")
    alert = page.locator("#trouble")
    for steps, said in {LONG + 1: "less than or equal to 10000000", 0: "greater than or equal to 1"}.items():
        run(page, steps)
        expect(alert).to_have_text(f"The service refused this. Steps: input should be {said}.")
    expect(page.locator("#so-far")).to_have_text("")
    run(page, 100)
    expect(alert).to_have_text("")
    paste(page, "1, 2, 3e15")
    expect(alert).to_contain_text("Sequence, value 3: input should be less than or equal to 1000000000000000.")
    assert alert.get_attribute("role") == "alert"


@needs_chromium
def test_the_page_says_when_the_service_is_gone_and_recovers_when_it_is_back(open_page: Open) -> None:
    page = open_page(expected="ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    page.get_by_role("slider", name="Period").fill("30")
    alert = page.locator("#trouble")
    expect(alert).to_contain_text("The service cannot be reached.")
    expect(page.locator("#next")).to_have_text("")
    page.get_by_role("button", name="Try again").click()
    expect(alert).to_contain_text("The service cannot be reached.")
    page.context.set_offline(False)
    expect(page.locator("#summary")).to_contain_text("100 values forecast")
    expect(alert).to_have_text("")


@needs_chromium
def test_a_service_that_ends_while_it_streams_is_noticed(browser: Browser, tmp_path: Path) -> None:
    with serve(tmp_path, workers=1, max_steps=LONG, grace_period_s=0) as ending:
        page = browser.new_page()
        page.goto(ending.url)
        expect(page.locator("#summary")).to_contain_text("100 values forecast")
        limited(page, 1_000_000)
        run(page, LONG)
        expect(page.locator("#expected")).to_have_text("10,000,000")
    expect(page.locator("#trouble")).to_contain_text("The service cannot be reached.")
    page.close()


@needs_chromium
def test_the_page_sends_a_key_if_the_service_wants_one_and_forgets_it(browser: Browser, tmp_path: Path) -> None:
    key, keys = new_key(), tmp_path / "keys"
    keys.write_text(line("visitor", key))
    with serve(tmp_path, workers=1, api_keys=keys) as keyed:
        page = browser.new_page()
        page.add_init_script(WATCH)
        page.goto(keyed.url)
        alert, field = page.locator("#trouble"), page.get_by_label("Key", exact=True)
        expect(alert).to_contain_text("The service wants a key. This page forgets it when it is left.")
        page.evaluate(f"{AXE}; undefined")
        found = page.evaluate("axe.run('#trouble')")
        assert found["violations"] == []
        assert len(found["passes"]) > 3
        field.fill("sine_not-this-one\u00ff")
        field.press("Enter")
        expect(alert).to_contain_text("It does not know this one.")
        expect(field).to_have_value("")
        field.fill(f" {key}\n")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#summary")).to_contain_text("100 values forecast")
        expect(alert).to_have_text("")
        for language, interpreter in {"curl": "bash", "Python": sys.executable}.items():
            page.get_by_role("radio", name=language).check()
            code = page.locator("#code").inner_text()
            assert key not in page.content()
            program = tmp_path / "program"
            program.write_text(code)
            environment = {**os.environ, "SINE_API_KEY": key}
            ran = subprocess.run([interpreter, program], env=environment, capture_output=True, text=True, check=True)
            assert len(rollout(ran.stdout)) == 100
        assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length, faults]") == ["", 0, 0, []]
        page.reload()
        expect(alert).to_contain_text("The service wants a key.")
        page.close()


@needs_chromium
@pytest.mark.parametrize(("language", "values", "clipboard"), [("Python", 64, True), ("curl", 4000, False)])
def test_the_copied_code_does_what_the_page_does(
    open_page: Open, tmp_path: Path, language: str, values: int, clipboard: bool
) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    if not clipboard:  # as on a page without https and not from localhost
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    paste(page, ", ".join(str(math.sin(t / 3)) for t in range(values)))
    expect(page.locator("#summary")).to_contain_text(f"{values:,} values given")
    run(page, 200)
    expect(page.locator("#so-far")).to_have_text("200")
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
    forecast = column(page, "Forecast")
    page.get_by_role("radio", name=language).check()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator("#copy")).to_have_text("Copied")
    program = tmp_path / "program"
    program.write_text(pasted(page))
    interpreter = {"curl": "bash", "Python": sys.executable}[language]
    ran = subprocess.run([interpreter, program], capture_output=True, text=True, check=True)
    assert rollout(ran.stdout) == pytest.approx(forecast, rel=1e-4)


def pasted(page: Page) -> str:
    """Return the text on the clipboard by pasting it, as a person would."""
    page.get_by_role("radio", name="Your data").check()
    box = page.locator("#numbers")
    before = box.input_value()
    box.evaluate("element => { element.value = ''; element.focus(); }")
    page.keyboard.press("Control+V")
    text = box.input_value()
    box.evaluate("(element, before) => { element.value = before }", before)
    return text


def rollout(printed: str) -> list[float]:
    """Return the values in server-sent events, or in dictionaries as Python prints them."""
    parts = [json.loads(data.replace("'", '"')) for data in re.findall(r"\{.*\}", printed)]
    return [value for part in parts for value in part.get("values", [])]


@needs_chromium
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(open_page: Open, scheme: str, viewport: dict[str, int]) -> None:
    page = open_page(expected="status of 422", color_scheme=scheme, viewport=viewport)

    def check(state: str) -> None:
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], f"{state}: the page is {width} wide"
        page.evaluate(f"{AXE}; undefined")
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == [], state
        assert len(found["passes"]) > 20

    check("as it opens")
    page.locator("#values summary").click()
    paste(page, "1, 2, three")
    check("with numbers that are wrong, and the table")
    page.get_by_role("radio", name="Draw").check()
    run(page, 0)
    expect(page.locator("#trouble")).to_contain_text("refused")
    check("with a refusal")


@needs_chromium
def test_a_keyboard_reaches_everything_with_visible_focus(open_page: Open) -> None:
    page = open_page()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        name, outlined = page.evaluate(
            """() => {
              const focused = document.activeElement;
              const shown = focused.closest("label:has(:focus-visible)") ?? focused;
              return [focused.id || focused.value || focused.textContent.trim(), getComputedStyle(shown).outlineStyle];
            }"""
        )
        if focused_body := page.evaluate("document.activeElement === document.body"):
            break
        assert outlined == "solid", name
        reached.append(name)
    assert focused_body
    assert reached == [
        *("API", "Metrics", "download", "link", "All values as a table"),
        *("sine", "period", "amplitude", "noise", "count", "model-name", "steps", "level", "run"),
        *("curl", "copy", "code"),
    ]
    period = page.get_by_role("slider", name="Period")
    period.focus()
    period.press("ArrowRight")
    expect(page.locator("#sine output").first).to_have_text("25.5")
    page.get_by_label("Horizon, in steps").press("Control+A")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page.locator("#summary")).to_contain_text("7 values forecast")
    expect(page.locator("#status")).to_contain_text("Next value")


@needs_chromium
def test_a_model_can_be_chosen_from_several(browser: Browser, tmp_path: Path) -> None:
    first = make_small_artifact(tmp_path, name="first.pt", called="first")
    make_small_artifact(
        tmp_path, name="second.pt", called="second", prepare=lambda network: network.readout.weight.mul_(2)
    )
    with serve(tmp_path, model=first, models=tmp_path, workers=1) as server:
        page = browser.new_page()
        page.add_init_script(WATCH)
        page.goto(server.url)
        expect(page.locator("#summary")).to_contain_text("100 values forecast")
        expect(page.locator("#model")).to_contain_text("first 1")
        choice = page.get_by_label("Model", exact=True)
        assert choice.locator("option").all_inner_texts() == ["first", "second"]
        expect(choice).to_have_value("first")
        choice.select_option("second")
        expect(page.locator("#model")).to_contain_text("second 1")
        expect(page.locator("#code")).to_contain_text('"model": "second"')
        expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
        sequence = column(page, "Given")
        body = {"sequence": sequence, "steps": 100, "model": "second"}
        expected = httpx.post(f"{server.url}/generate", json=body).json()["values"]
        assert column(page, "Forecast") == pytest.approx(expected, rel=1e-3, abs=1e-4)
        page.evaluate(f"{AXE}; undefined")
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
        assert len(found["passes"]) > 20
        assert page.evaluate("faults") == []
        page.close()


@needs_chromium
def test_the_page_says_which_limit_of_the_intervals_a_forecast_exceeds(browser: Browser, tmp_path: Path) -> None:
    few = some_intervals(contexts=(100,), horizon=90, rollouts=12)
    artifact = make_small_artifact(tmp_path, intervals=few, rollouts=12)
    with serve(tmp_path, model=artifact, workers=1) as server:
        page = browser.new_page()
        page.goto(server.url)
        summary = page.locator("#summary")
        expect(summary).to_contain_text("Intervals of 95 % are not known: this model has levels up to 92 %.")
        expect(summary).to_contain_text("Intervals are known from 100 given values on.")
        expect(summary).to_contain_text("Intervals are known for up to 90 steps.")
        run(page, 80)
        expect(summary).not_to_contain_text("Intervals are known for up to")
    page.close()
