"""Tests of the log: one line for each request, one form for all lines, and nothing that clients send."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.artifacts import MakeArtifact
from tests.server import Server, serve
from tests.waiting import wait_for

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PLANTED = "5f4dcc3b-planted"
NEW_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]+")


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def access_line(server: Server, request_id: str) -> dict[str, Any]:
    """Wait for the one line of a request, which the server writes after the answer."""

    def found() -> list[dict[str, Any]]:
        return [
            line for line in lines(server) if (line["logger"], line.get("request_id")) == ("app.access", request_id)
        ]

    (line,) = wait_for("the line", found)
    return line


@pytest.mark.parametrize(
    ("method", "path", "body", "route", "status", "work"),
    [
        ("POST", "/predict", {"sequence": [1, 2, 3]}, "/predict", 200, 4),
        ("POST", "/generate", {"sequence": [1, 2], "steps": 5000}, "/generate", 200, 5002),
        ("POST", "/generate/stream", {"sequence": [1, 2], "steps": 700}, "/generate/stream", 200, 702),
        ("POST", "/predict", {"sequence": []}, "/predict", 422, 0),
        ("GET", "/model", None, "/model", 200, 0),
        ("GET", f"/{PLANTED}?key={PLANTED}", None, "other", 404, 0),
        ("GET", "/predict", None, "/predict", 405, 0),
    ],
)
def test_a_request_is_one_line(
    server: Server, method: str, path: str, body: object, route: str, status: int, work: int
) -> None:
    name = f"{method}:{route}:{status}"
    headers = {"x-request-id": name, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    answer = httpx.request(method, server.url + path, json=body, headers=headers)
    assert answer.headers["x-request-id"] == name
    line = access_line(server, name)
    assert 0 < line.pop("duration_s") < 30
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "INFO",
        "logger": "app.access",
        "message": "request",
        "request_id": name,
        "route": route,
        "status": status,
        "work": work,
        "trace_id": TRACE,
    }


async def test_a_connection_is_one_line_when_it_ends(server: Server) -> None:
    name = "a-connection"
    async with connect(
        f"{server.url.replace('http', 'ws')}/live?key={PLANTED}", additional_headers={"x-request-id": name}
    ) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"] == name
        for value in ("0.5", "1.0", "oops"):
            await socket.send(value)
            await socket.recv()
    line = access_line(server, name)
    assert (line["route"], line["status"], line["work"]) == ("/live", 101, 5)  # the second value rescales: 2 + 3


@pytest.mark.parametrize("bad", ["", f"{PLANTED} 1", f'{PLANTED}"', f"{PLANTED}\x7f", "é", f"{PLANTED}<br>", "x" * 129])
def test_an_id_that_is_not_harmless_is_replaced(server: Server, bad: str) -> None:
    headers = [(b"x-request-id", bad.encode())]
    answer = httpx.post(f"{server.url}/predict", json={"sequence": [1]}, headers=headers)
    if answer.status_code == 400:  # the HTTP parser refused it
        return
    assert NEW_ID.fullmatch(answer.headers["x-request-id"])
    access_line(server, answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "bad",
    [
        "",
        PLANTED,
        f"00-{TRACE}-00f067aa0ba902b7",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
    ],
)
def test_a_traceparent_that_is_none_is_left_out(server: Server, bad: str) -> None:
    answer = httpx.get(f"{server.url}/livez", headers={"traceparent": bad})
    line = access_line(server, answer.headers["x-request-id"])
    assert "trace_id" not in line


def test_new_ids_are_all_different(server: Server) -> None:
    ids = [httpx.get(f"{server.url}/livez").headers["x-request-id"] for _ in range(50)]
    assert len(set(ids)) == 50


def test_every_line_has_the_same_form_and_none_holds_what_clients_sent(server: Server) -> None:
    for body in (
        f'{{"sequence": [1, "{PLANTED}"], "{PLANTED}": 1}}',
        PLANTED,
        f'{{"sequence": [1], "state": "{PLANTED}"}}',
    ):
        httpx.post(
            f"{server.url}/predict",
            content=body,
            headers={"content-type": "application/json", "authorization": f"Bearer {PLANTED}", "user-agent": PLANTED},
        )
    answer = httpx.get(f"{server.url}/livez")
    access_line(server, answer.headers["x-request-id"])
    found = lines(server)
    assert {"uvicorn.error", "app.engine.reload", "app.access"} <= {line["logger"] for line in found}
    for line in found:
        assert list(line)[:4] == ["time", "level", "logger", "message"]
    assert PLANTED not in server.log.read_text()


def test_the_text_format_is_readable(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    with serve(tmp_path, model=make_artifact(), workers=1, log_format="text") as server:
        httpx.post(f"{server.url}/predict", json={"sequence": [1]}, headers={"x-request-id": "abc"})
    log = server.log.read_text()
    line = r"^[\d-]+T[\d:.]+Z INFO     app\.access: request abc: /predict 200 in 0\.\d{6} s, 2 steps$"
    assert re.search(line, log, re.MULTILINE)
    assert re.search(r"^[\d-]+T[\d:.]+Z INFO     uvicorn\.error: Started server process", log, re.MULTILINE)
