"""deploy/nginx/nginx.conf in a real nginx, in front of a real server: what it promises of strangers holds."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect

from app.settings import Settings
from tests.artifacts import make_small_artifact
from tests.integration.wire import answers, until_closed
from tests.metrics import metric
from tests.server import ROOT, Server, address, free_port, serve
from tests.waiting import wait_for

pytestmark = pytest.mark.anyio

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIG = ROOT / "deploy" / "nginx" / "nginx.conf"
INSIDE = "127.0.0.2"
"""The address of a client from inside. Here, all others of this machine are strangers, each with limits of its own."""

BODY = b'{"sequence": [1, 2, 3], "steps": 5}'
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Proxy:
    """Nginx, and the server behind it."""

    url: str
    server: Server


def config(folder: Path, port: int, server: Server) -> str:
    """The project's, with other addresses and paths, and with less time for slow clients."""
    text = CONFIG.read_text().replace(" /tmp/", f" {folder}/")
    for line, here in (
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("set $replicas replica:8000;", f"set $replicas {urlsplit(server.url).netloc};"),
        ("127.0.0.0/8 0;", f"{INSIDE}/32 0;"),
        ("client_header_timeout 10s;", "client_header_timeout 1s;"),
        ("client_body_timeout 10s;", "client_body_timeout 1s;"),
    ):
        assert text.count(line) == 1, line
        text = text.replace(line, here)
    return text


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        serve(folder, model=make_small_artifact(folder), workers=1) as server,
        running_nginx(folder, config(folder, port, server), f"{url}/readyz"),
    ):
        yield Proxy(url, server)


@contextlib.contextmanager
def running_nginx(folder: Path, configuration: str, ready: str) -> Iterator[None]:
    """Run nginx in the block, from the time that it answers the URL `ready`. Skip the test where there is no nginx."""
    if NGINX is None:
        pytest.skip("there is no nginx here (apt-get install nginx)")
    file = folder / "nginx.conf"
    file.write_text(configuration)
    user = "user root; " if os.geteuid() == 0 else ""  # who else may not write in this folder
    with (folder / "nginx.log").open("wb") as log:
        nginx = subprocess.Popen(
            [NGINX, "-p", folder, "-c", file, "-e", "stderr", "-g", f"{user}daemon off;"], stdout=log, stderr=log
        )
    try:
        wait_for("the proxy", lambda: is_answering(ready, nginx, folder / "nginx.log"))
        yield
    finally:
        nginx.terminate()
        nginx.wait(20)


def is_answering(url: str, nginx: subprocess.Popen[bytes], log: Path) -> bool:
    assert nginx.poll() is None, log.read_text()
    with contextlib.suppress(httpx.TransportError), client_from(INSIDE, url) as client:
        return client.get(url).status_code == 200
    return False


def client_from(address: str, url: str) -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=url, transport=transport, headers=JSON, timeout=20)


@contextlib.contextmanager
def connection(proxy: Proxy, source: str) -> Iterator[socket.socket]:
    with socket.create_connection(address(proxy.url), timeout=20, source_address=(source, 0)) as client:
        yield client


def asked_for(server: Server) -> float:
    """How many forecasts the server has been asked for."""
    return metric(server.url, "sine_request_duration_seconds_count", route="/generate")


def test_forecasts_and_streams_go_through(proxy: Proxy) -> None:
    with client_from("127.0.0.10", proxy.url) as client:
        answer = client.post("/generate", content=BODY)
        assert answer.status_code == 200
        assert answer.json() == httpx.post(f"{proxy.server.url}/generate", content=BODY, headers=JSON).json()
        stream = client.post("/generate/stream", content=BODY)
        assert "event: done" in stream.text


def test_an_offer_of_another_protocol_goes_through_and_is_ignored(proxy: Proxy) -> None:
    offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAAQCAAAAAAIAAAAA"}
    with client_from("127.0.0.10", proxy.url) as client:
        answers = [client.post("/generate", content=BODY, headers=headers) for headers in ({}, offer)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content


async def test_sockets_go_through(proxy: Proxy) -> None:
    async with connect(proxy.url.replace("http", "ws") + "/live", local_addr=("127.0.0.10", 0)) as live:
        await live.send("0.5")
        assert "prediction" in json.loads(await live.recv())


def test_a_stranger_has_50_requests_a_second_and_others_have_theirs(proxy: Proxy) -> None:
    with connection(proxy, "127.0.0.11") as stranger, client_from(INSIDE, proxy.url) as inside:
        began = time.monotonic()
        stranger.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" * 400)  # sooner than any machine asks one by one
        got = answers(stranger, 400)
        took_s = time.monotonic() - began
        assert all(inside.get("/livez").status_code == 200 for _ in range(400))
    passed = sum(status == 200 for status, _, _ in got)
    refused = [answer for answer in got if answer[0] != 200]
    assert 100 <= passed <= 102 + 50 * took_s  # what it may have at once, and what came free meanwhile
    assert refused
    for status, headers, body in refused:
        assert status == json.loads(body)["status"] == 429
        assert headers["retry-after"] == "1"
        assert headers["content-type"] == "application/problem+json"


def test_a_stranger_has_64_connections(proxy: Proxy) -> None:
    head = b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(
        BODY
    )
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connection(proxy, "127.0.0.12")) for _ in range(80)]
        for client in clients:
            client.sendall(head)  # a connection counts while it has a request
        statuses = [re.findall(rb"HTTP/1.1 (\d+)", until_closed(client)) for client in clients]
    assert statuses.count([b"429"]) == 80 - 64
    assert statuses.count([b"408"]) + statuses.count([]) == 64  # their bodies did not come


def test_the_limits_of_bodies_are_those_of_the_service(proxy: Proxy) -> None:
    settings = Settings()
    infer = "/v2/models/small/infer"
    with client_from("127.0.0.13", proxy.url) as client:
        for path, most in (("/generate", settings.max_body_bytes), (infer, settings.max_batch_bytes)):
            fits, refused = (client.post(path, content=b"1" * size) for size in (most - 1000, most + 1000))
            assert fits.status_code in (400, 422)
            assert refused.status_code == 413
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["status"] == 413


@pytest.mark.parametrize("part", ["line", "head", "body"])
def test_what_does_not_come_to_its_end_is_cut_and_no_replica_hears_of_it(proxy: Proxy, part: str) -> None:
    request = (
        b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 35\r\n\r\n" + BODY
    )
    sent = request[: {"line": 10, "head": 50, "body": len(request) - 1}[part]]
    before = asked_for(proxy.server)
    with connection(proxy, "127.0.0.14") as client:
        client.sendall(sent)
        answer = until_closed(client)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
    assert asked_for(proxy.server) == before


def test_a_byte_a_moment_does_not_keep_a_head_open(proxy: Proxy) -> None:
    with connection(proxy, "127.0.0.15") as client, contextlib.suppress(ConnectionError):
        client.sendall(b"GET /livez HTTP/1.1\r\nx: ")
        for _ in range(100):
            client.sendall(b"a")
            time.sleep(0.1)
        pytest.fail("it was open for ten seconds")


@pytest.mark.parametrize("address", ["127.0.0.16", INSIDE])
def test_metrics_and_admin_are_not_there(proxy: Proxy, address: str) -> None:
    assert httpx.get(f"{proxy.server.url}/metrics").status_code == 200  # the server itself has them here
    with connection(proxy, address) as client:
        paths = ["/metrics", "/metrics?x", "//metrics", "/./metrics", "/x/../metrics", "/%6detrics", "/metrics#x"]
        paths += ["http://x/metrics", "/metrics/", "/metrics%2f", "/METRICS", "/metrics;x", "/metrics%00"]
        paths += ["/admin/reload", "/admin/", "/admin", "//admin/reload", "/%61dmin/reload", "/x/..%2fadmin/reload"]
        for path in paths:
            method = "POST" if "admin" in path else "GET"
            client.sendall(f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
        client.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = until_closed(client)
    statuses = re.findall(rb"HTTP/1.1 (\d+)", answer)
    assert b"sine_" not in answer
    assert set(statuses) - {b"404", b"400", b"200"} == set()
    assert statuses.count(b"200") <= 1  # the last one; a path that is none ends the connection before it


def test_others_are_served_while_strangers_are_slow(proxy: Proxy) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(100):
            slow = stack.enter_context(connection(proxy, f"127.0.1.{number + 1}"))
            slow.sendall(b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: 35\r\n\r\n{")
        inside = stack.enter_context(client_from(INSIDE, proxy.url))
        assert {inside.post("/generate", content=BODY).status_code for _ in range(50)} == {200}
