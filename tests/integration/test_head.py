"""Tests of HEAD: each path that answers GET answers HEAD with the same status and headers, and without a body."""

from collections.abc import Iterator

import httpx
import pytest

from app.api.page import FOLDER
from tests.artifacts import make_small_artifact
from tests.integration.wire import connected, until_closed
from tests.keys import admin_keys
from tests.metrics import metric
from tests.server import Server, serve, serve_both_ways, serve_together
from tests.waiting import wait_for

VARYING = {"date", "x-request-id", "content-length"}
"""The headers that two GET requests to the same path may answer differently: metrics grow between them."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Run a server for each way to an answer, and one that requires a key."""
    folder = tmp_path_factory.mktemp("head")
    model = make_small_artifact(folder)
    for name in ("own", "keyed"):
        (folder / name).mkdir()
    with (
        serve_both_ways(folder, model=model, workers=1) as (hot, plain),
        serve_together(
            serve(folder / "own", model=model, workers=1, http="uvicorn"),
            serve(folder / "keyed", model=model, workers=1, api_keys=admin_keys(folder), admin_keys=admin_keys(folder)),
        ) as (own, keyed),
    ):
        yield {"hot path": hot, "FastAPI": plain, "uvicorn": own, "keys": keyed}


WAYS = ["hot path", "FastAPI", "uvicorn", "keys"]


def paths(server: Server) -> list[str]:
    """Return every path of the document, one of every other kind, and those of refusals."""
    document = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert not [path for path, operations in document.items() if "head" in operations]
    described = [path.replace("{model}", "small").replace("{version}", "1") for path in document]
    files = [file.relative_to(FOLDER).as_posix() for file in FOLDER.iterdir() if file.is_file()]
    others = ["/", "/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css", "/nothing", "/live", "/v2/nothing"]
    return [*described, *(f"/{file}" for file in files), *others]


@pytest.mark.parametrize("way", WAYS)
def test_head_is_answered_like_get_without_a_body(servers: dict[str, Server], way: str) -> None:
    asked = 0
    for path in paths(servers[way]):
        get, head = (httpx.request(method, servers[way].url + path) for method in ("GET", "HEAD"))
        assert head.status_code == get.status_code, path
        assert head.headers.keys() == get.headers.keys(), path
        for name in get.headers.keys() - VARYING:
            assert head.headers[name] == get.headers[name], path
        if "metrics" not in path and "stats" not in path:
            assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content)), path
        asked += get.status_code == 200
    assert asked > (10 if way == "keys" else 20)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_follows_the_head_and_the_connection_stays(servers: dict[str, Server], way: str) -> None:
    request = b"HEAD /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    with connected(servers[way]) as client:
        client.sendall(request * 2 + request.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        received = until_closed(client)
    heads = received.split(b"\r\n\r\n")
    assert [head.partition(b"\r\n")[0] for head in heads] == [b"HTTP/1.1 200 OK"] * 3 + [b""]


@pytest.mark.parametrize(("path", "allowed"), [("/livez", "GET, HEAD"), ("/", "GET, HEAD"), ("/predict", "POST")])
@pytest.mark.parametrize("way", ["hot path", "FastAPI", "uvicorn"])
def test_a_refusal_of_another_method_lists_head_beside_get(
    servers: dict[str, Server], way: str, path: str, allowed: str
) -> None:
    refused = httpx.delete(servers[way].url + path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


def test_head_is_counted_and_logged_like_get(servers: dict[str, Server]) -> None:
    server = servers["hot path"]

    def count() -> float:
        return metric(server.url, "sine_requests_total", route="/models", status="200")

    before = count()
    httpx.head(f"{server.url}/models", headers={"x-request-id": "head-once"})
    wait_for("its line, after the answer", lambda: "head-once" in server.log.read_text())
    assert count() == before + 1
    assert server.log.read_text().count('"request_id":"head-once","route":"/models","status":200') == 1


def test_a_page_of_an_allowed_origin_may_ask_with_head(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("origin")
    origin = "https://page.example"
    with serve(folder, model=make_small_artifact(folder), workers=1, cors_origins=origin) as server:
        asked = {"access-control-request-method": "HEAD", "access-control-request-headers": "authorization"}
        allowed = httpx.options(f"{server.url}/model", headers={"origin": origin, **asked})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
