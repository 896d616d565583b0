"""Take the README's pictures of the page: python -m tests.e2e.screenshot. They look best with a font like Inter.

They show a monthly CSV that was dropped on the page, with its backtest: on a desktop, on a phone, and dark.
"""

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, expect

from tests.e2e.browser import chromium
from tests.e2e.test_page_data import SALES, choose, finished
from tests.server import ROOT, Server, serve

FOLDER = ROOT / "docs" / "images"

DESKTOP = {"viewport": {"width": 1280, "height": 900}, "device_scale_factor": 1.5}
PHONE = {"viewport": {"width": 375, "height": 812}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
PICTURES: Mapping[str, dict[str, Any]] = {
    "page": DESKTOP | {"color_scheme": "light"},
    "page-dark": DESKTOP | {"color_scheme": "dark"},
    "page-phone": PHONE | {"color_scheme": "light"},
}


def main() -> None:
    """Write each picture."""
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, chromium() as browser:
        for name, options in PICTURES.items():
            picture = FOLDER / f"{name}.png"
            # The page has flat colours, so a palette makes the file a third of the size.
            taken = Image.open(io.BytesIO(take(browser, server, Path(folder), options)))
            taken.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)
            print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB")


def take(browser: Browser, server: Server, folder: Path, options: dict[str, Any]) -> bytes:
    """Return a picture of the page with a backtest of the sales."""
    page = browser.new_page(**options)
    page.goto(server.url)
    expect(page.locator("#summary")).to_contain_text("values forecast")
    choose(page, folder, SALES)
    page.get_by_role("switch").check()
    for _ in range(5):  # a page's first forecasts wait for its fonts and its connections
        page.get_by_role("button", name="Run").click()
        finished(page, "held back")
    page.locator("#rate").evaluate("element => { element.textContent = '' }")
    expect(page.locator("#rate")).not_to_have_text("")
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    taken = page.screenshot()
    page.close()
    return taken


if __name__ == "__main__":
    main()
