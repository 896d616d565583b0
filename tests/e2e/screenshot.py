"""Take the README's picture of the page: python -m tests.e2e.screenshot. It looks best with a font like Inter."""

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect

from tests.e2e.browser import chromium
from tests.server import ROOT, serve

PICTURE = ROOT / "docs" / "images" / "page.png"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5, color_scheme="light")
        page.goto(server.url)
        for _ in range(5):  # a page's first forecast waits for its fonts and its first connection
            page.get_by_role("button", name="Run").click()
            expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
        expect(page.locator("#status")).to_contain_text("Next value")
        taken = Image.open(io.BytesIO(page.screenshot()))
    # The page has flat colours, so a palette makes the file a third of the size.
    taken.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
