"""POST /generate/stream: the values of /generate as they are computed, and no more of them than are read."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from app.api.dependencies import service_of
from app.errors import DeadlineExceeded
from app.main import create_app
from app.settings import Settings
from model.runtime.base import Runtime, State
from sine_client import AsyncClient, Options, ServiceError
from sine_client.messages import StreamedValues, StreamEnd
from tests.artifacts import make_small_artifact, some_intervals
from tests.integration.wire import post
from tests.metrics import metric, steps_after_they_stop_rising
from tests.server import Server, serve

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

    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        if self._left == 0:
            raise self._failure
        self._left -= 1
        return self._runtime.rollout(states, steps)


async def stream(
    client: httpx.AsyncClient, steps: int, sequence: Sequence[float] = SEQUENCE, **options: Unpack[Options]
) -> tuple[list[StreamedValues], StreamEnd]:
    async with AsyncClient(client).stream(sequence, steps, **options) as rollout:
        parts = [part async for part in rollout]
    return parts, rollout.end


def joined(parts: Iterable[StreamedValues]) -> list[float]:
    return [value for part in parts for value in part.values]


def resident_pages(server: Server) -> int:
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])


@pytest.mark.parametrize("steps", [1, 255, 256, 257, 5000])
async def test_all_parts_together_are_the_answer_of_generate(client: httpx.AsyncClient, steps: int) -> None:
    whole = await AsyncClient(client).generate(SEQUENCE, steps, return_state=True)
    parts, end = await stream(client, steps, return_state=True)
    assert end == StreamEnd(finish_reason="length", state=whole.state)
    assert joined(parts) == whole.values
    assert len(parts) == 1 or max(len(part.values) for part in parts) < steps


async def test_intervals_are_those_of_generate(client: httpx.AsyncClient) -> None:
    whole = await AsyncClient(client).generate(SEQUENCE, 1000, level=[80, 95])
    parts, _ = await stream(client, 1000, level=[80, 95])
    assert whole.intervals
    for name, values in whole.intervals.items():
        assert [value for part in parts for value in (part.intervals or {})[name]] == values


async def test_a_stream_goes_on_from_a_state_and_leaves_one(client: httpx.AsyncClient) -> None:
    whole = (await AsyncClient(client).generate(SEQUENCE, 600)).values
    first, end = await stream(client, 300, return_state=True)
    second, _ = await stream(client, 300, sequence=[], state=end.state)
    # TorchScript rounds differently where its chunks begin at other steps.
    assert joined(first + second) == whole or joined(first + second) == pytest.approx(whole, abs=1e-5)
    assert joined(first + second) == whole or (await AsyncClient(client).model()).runtime == "torchscript"


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
        forecaster = service_of(app).serving.repository().default.forecaster
        forecaster.runtime = FailsAfter(forecaster.runtime, 2, failure)
        transport = httpx.ASGITransport(app)
        http = httpx.AsyncClient(transport=transport, base_url="http://in-process")
        async with AsyncClient(http) as client, client.stream(SEQUENCE, 5000) as rollout:
            parts = aiter(rollout)
            assert [len((await anext(parts)).values) for _ in range(2)] == [16, 32]
            with pytest.raises(ServiceError) as caught:
                await anext(parts)
    assert caught.value.status == status
    assert "planted" not in str(caught.value.problem)


async def test_work_stops_when_the_reader_has_left(client: httpx.AsyncClient, server: Server) -> None:
    before = metric(client.base_url, "sine_steps_total")
    async with AsyncClient(server.url) as leaving, leaving.stream(SEQUENCE, LONG) as rollout:
        async for _ in rollout:
            break
    assert steps_after_they_stop_rising(server.url) - before < LONG / 2
    assert metric(client.base_url, "sine_pending_steps") == 0


async def test_a_reader_that_does_not_read_stops_its_own_rollout_alone(
    client: httpx.AsyncClient, server: Server
) -> None:
    """What the kernel's buffers do not take is not computed, and memory stays flat."""
    before = metric(client.base_url, "sine_steps_total")
    body = json.dumps({"sequence": SEQUENCE, "steps": LONG}).encode()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        reader.settimeout(60)
        reader.connect(server.address)
        reader.sendall(post(body, path="/generate/stream"))
        stopped = steps_after_they_stop_rising(server.url)
        pages = resident_pages(server)
        assert stopped - before < LONG / 2
        assert (await client.post("/predict", json={"sequence": SEQUENCE})).status_code == 200
        read = 0
        while read < 20_000:  # at 10 kB/s
            read += len(reader.recv(1000))
            await asyncio.sleep(0.1)
        assert steps_after_they_stop_rising(server.url) - before < LONG / 2
        assert resident_pages(server) - pages < 1000, "pages of 4 KiB"


async def test_the_document_describes_the_stream(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/generate/stream"]["post"]
    assert "text/event-stream" in operation["responses"]["200"]["content"]
    assert {"413", "422", "503", "504"} <= set(operation["responses"])
    assert "steps" in operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
