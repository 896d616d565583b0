"""Tests behind a proxy that serves the service below a path, and takes that path away: every address is relative."""

import json
import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import CHROMIUM, chromium
from tests.integration.test_proxy import running_nginx
from tests.server import free_port, serve

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

PREFIX = "/team/sine/"

CONFIG = """
pid {folder}/nginx.pid;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location {prefix} {{
            proxy_pass {server}/;
            proxy_http_version 1.1;
            proxy_buffering off;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of the service behind nginx, with a slash at its end. All other paths there are 404."""
    folder, port = tmp_path_factory.mktemp("prefix"), free_port()
    url = f"http://127.0.0.1:{port}{PREFIX}"
    with serve(folder, workers=1) as server:
        configuration = CONFIG.format(folder=folder, port=port, prefix=PREFIX, server=server.url)
        with running_nginx(folder, configuration, f"{url}readyz"):
            yield url


@pytest.fixture(scope="module")
def page(below: str) -> Iterator[Page]:
    """Return a page of a browser."""
    with chromium() as browser:
        yield browser.new_page()


@pytest.mark.parametrize("path", ["", "docs"])
def test_every_address_in_a_page_is_below_the_prefix(below: str, path: str) -> None:
    text = httpx.get(below + path).text
    addresses = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", text)
    found = [urljoin(below + path, one or other) for one, other in addresses]
    assert len(found) > 3
    for address in found:
        assert address.startswith(below)
        assert httpx.get(address).status_code == 200, address


def test_the_server_of_the_document_is_the_one_that_gave_it(below: str) -> None:
    document = httpx.get(f"{below}openapi.json").json()
    (server,) = document["servers"]
    base = urljoin(f"{below}openapi.json", server["url"])
    assert httpx.get(base.rstrip("/") + "/livez").json() == {"status": "alive"}


@needs_chromium
def test_the_documentation_is_shown_and_an_operation_can_be_tried(below: str, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{below}docs")
    expect(page.locator(".opblock").first).to_be_visible()
    assert page.locator(".opblock").count() > 15
    page.locator("#operations-forecast-predict .opblock-summary-control").click()
    page.locator("#operations-forecast-predict .try-out__btn").click()
    page.locator("#operations-forecast-predict .execute").click()
    answer = page.locator("#operations-forecast-predict .live-responses-table .response .microlight").first
    expect(answer).to_contain_text("prediction")
    assert f"{below}predict" in asked
    assert {urlsplit(url).path.startswith(PREFIX) for url in asked if url.startswith("http")} == {True}


@needs_chromium
def test_the_page_forecasts(below: str, page: Page) -> None:
    failed: list[str] = []
    page.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
    page.goto(below)
    expect(page.locator("#so-far")).not_to_have_text("")
    expect(page.locator("#next")).not_to_have_text("")
    assert failed == []
    assert json.loads(httpx.get(f"{below}readyz").text) == {"status": "ready"}
