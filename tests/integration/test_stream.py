"""POST /generate/stream: the values of /generate as they are computed, and no more of them than are read."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.errors import DeadlineExceeded
from app.main import create_app
from app.settings import Settings
from model.runtime import Runtime, State
from tests.artifacts import make_small_artifact, some_intervals
from tests.integration.test_load import metric, steps_after_they_stop_rising
from tests.server import Server, serve
from tests.sse import events

pytestmark = pytest.mark.anyio

SEQUENCE = [0.0, 0.5, 1.0, 0.5, 0.0, -0.5]
LONG = 2_000_000


@pytest.fixture(scope="module", params=["fused", "torchscript"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("stream")
    model = make_small_artifact(folder, intervals=some_intervals(horizon=1000))
    with serve(folder, model=model, workers=1, engine=request.param, max_steps=LONG, timeout_s=60) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        yield client


class FailsAfter:
    """A runtime whose rollouts fail from some call on."""

    def __init__(self, runtime: Runtime, rollouts: int, failure: Exception) -> None:
        self._runtime, self._left, self._failure = runtime, rollouts, failure

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def rollout(self, states: Sequence[State], steps: int) -> object:
        if self._left == 0:
            raise self._failure
        self._left -= 1
        return self._runtime.rollout(states, steps)


async def stream(client: httpx.AsyncClient, **fields: object) -> list[tuple[str, dict[str, Any]]]:
    async with client.stream("POST", "/generate/stream", json={"sequence": SEQUENCE, **fields}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return [event async for event in events(response)]


def resident_pages(server: Server) -> int:
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])


@pytest.mark.parametrize("steps", [1, 255, 256, 257, 5000])
async def test_all_parts_together_are_the_answer_of_generate(client: httpx.AsyncClient, steps: int) -> None:
    whole = (await client.post("/generate", json={"sequence": SEQUENCE, "steps": steps, "return_state": True})).json()
    *parts, (name, end) = await stream(client, steps=steps, return_state=True)
    assert (name, end) == ("done", {"finish_reason": "length", "state": whole["state"]})
    assert {name for name, _ in parts} == {"values"}
    assert [value for _, part in parts for value in part["values"]] == whole["values"]
    assert len(parts) == 1 or max(len(part["values"]) for _, part in parts) < steps


async def test_intervals_are_those_of_generate(client: httpx.AsyncClient) -> None:
    body = {"sequence": SEQUENCE, "steps": 1000, "level": [80, 95]}
    whole = (await client.post("/generate", json=body)).json()["intervals"]
    *parts, _ = await stream(client, steps=1000, level=[80, 95])
    for name, values in whole.items():
        assert [value for _, part in parts for value in part["intervals"][name]] == values


async def test_a_stream_goes_on_from_a_state_and_leaves_one(client: httpx.AsyncClient) -> None:
    whole = (await client.post("/generate", json={"sequence": SEQUENCE, "steps": 600})).json()["values"]
    first = await stream(client, steps=300, return_state=True)
    second = await stream(client, sequence=[], state=first[-1][1]["state"], steps=300)
    together = [value for name, part in first + second if name == "values" for value in part["values"]]
    # TorchScript rounds differently where its chunks begin at other steps.
    assert together == whole or together == pytest.approx(whole, abs=1e-5)
    assert together == whole or "torchscript" in (await client.get("/model")).text


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"sequence": [], "steps": 1}', b'{"sequence": [1], "steps": 0}'])
async def test_what_is_refused_is_refused_with_its_status(client: httpx.AsyncClient, body: bytes) -> None:
    answers = [
        await client.post(path, content=body, headers={"content-type": "application/json"})
        for path in ("/generate", "/generate/stream")
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("failure", "status"), [(DeadlineExceeded(1), 504), (RuntimeError("planted"), 500)])
async def test_a_failure_on_the_way_is_the_last_event(tmp_path: Path, failure: Exception, status: int) -> None:
    app = create_app(Settings(model=make_small_artifact(tmp_path), workers=1))
    async with app.router.lifespan_context(app):
        runtime = app.state.served.forecaster.runtime
        app.state.served.forecaster.runtime = FailsAfter(runtime, 2, failure)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://in-process") as client:
            *parts, (name, problem) = await stream(client, steps=5000)
    assert [name for name, _ in parts] == ["values"] * 2
    assert name == "error"
    assert problem["status"] == status
    assert "planted" not in str(problem)


async def test_work_stops_when_the_reader_has_left(client: httpx.AsyncClient, server: Server) -> None:
    before = await metric(client, "sine_steps_total")
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as leaving:
        body = {"sequence": SEQUENCE, "steps": LONG}
        async with leaving.stream("POST", "/generate/stream", json=body) as response:
            async for _ in events(response):
                break
    assert await steps_after_they_stop_rising(client) - before < LONG / 2
    assert await metric(client, "sine_pending_steps") == 0


async def test_a_reader_that_does_not_read_stops_its_own_rollout_alone(
    client: httpx.AsyncClient, server: Server
) -> None:
    """What the kernel's buffers do not take is not computed, and memory stays flat."""
    before = await metric(client, "sine_steps_total")
    body = json.dumps({"sequence": SEQUENCE, "steps": LONG}).encode()
    head = b"POST /generate/stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    address = urlsplit(server.url)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        reader.connect((address.hostname, address.port))
        reader.sendall(head % len(body) + body)
        stopped = await steps_after_they_stop_rising(client)
        pages = resident_pages(server)
        assert stopped - before < LONG / 2
        assert (await client.post("/predict", json={"sequence": SEQUENCE})).status_code == 200
        read, until = 0, time.monotonic() + 3
        while read < 30_000 and time.monotonic() < until:  # 10 kB/s
            read += len(reader.recv(1000))
            await asyncio.sleep(0.1)
        assert read >= 20_000
        assert await steps_after_they_stop_rising(client) - before < LONG / 2
        assert resident_pages(server) - pages < 1000, "pages of 4 KiB"


async def test_the_document_describes_the_stream(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/generate/stream"]["post"]
    assert "text/event-stream" in operation["responses"]["200"]["content"]
    assert {"413", "422", "503", "504"} <= set(operation["responses"])
    assert "steps" in operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
