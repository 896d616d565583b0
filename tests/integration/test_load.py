"""Long rollouts: nobody waits for them, they end when nobody wants them, and there is a bound on them.

With both runtimes: the fused one advances one job at a time, TorchScript a batch. A hidden size of 256 makes a step
slow enough (microseconds) for a rollout to be long.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import torch

from tests.artifacts import make_small_artifact
from tests.metrics import total
from tests.server import Server, serve

pytestmark = pytest.mark.anyio

LONG = 1_000_000
"""Steps that take seconds."""


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


@pytest.fixture(
    scope="module",
    params=[("cpu", "fused"), ("cpu", "torchscript"), pytest.param(("cuda", "torchscript"), marks=needs_cuda)],
    ids="-".join,
)
def slow_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("slow")
    model = make_small_artifact(folder, hidden=256)
    device, engine = request.param
    limits = {"workers": 1, "max_steps": LONG, "max_pending_s": 600, "timeout_s": 600}
    with serve(folder, model=model, device=device, engine=engine, **limits) as server:
        yield server


@pytest.fixture
async def client(slow_server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=slow_server.url, timeout=60) as client:
        yield client


async def generate(client: httpx.AsyncClient, steps: int, **fields: object) -> httpx.Response:
    return await client.post("/generate", json={"sequence": [0.0, 0.5, 1.0], "steps": steps, **fields})


async def metric(client: httpx.AsyncClient, name: str, **labels: str) -> float:
    return total((await client.get("/metrics")).text, name, **labels)


async def steps_after_they_stop_rising(client: httpx.AsyncClient) -> float:
    deadline = time.monotonic() + 30
    before = -1.0
    while before != (now := await metric(client, "sine_steps_total")):
        assert time.monotonic() < deadline, "steps are executed for nobody"
        before = now
        await asyncio.sleep(0.2)
    return now


async def begun(client: httpx.AsyncClient) -> float:
    """Wait until a long rollout runs, and return the steps executed so far."""
    first = await metric(client, "sine_steps_total")
    while (now := await metric(client, "sine_steps_total")) == first:  # noqa: ASYNC110 - it is in another process
        await asyncio.sleep(0.005)
    return now


async def leave(client: httpx.AsyncClient, *requests: asyncio.Task[httpx.Response]) -> None:
    """Wait for no answer any more, and then for the service to have noticed."""
    for request in requests:
        request.cancel()
    await asyncio.wait(requests)
    await steps_after_they_stop_rising(client)


async def test_a_short_request_does_not_wait_for_long_rollouts(client: httpx.AsyncClient) -> None:
    long = [asyncio.create_task(generate(client, LONG)) for _ in range(3)]
    await begun(client)
    for _ in range(5):
        assert (await generate(client, 1)).status_code == 200
    assert not any(task.done() for task in long)
    await leave(client, *long)


async def test_a_long_and_a_short_rollout_of_the_same_sequence_agree(client: httpx.AsyncClient) -> None:
    alone = (await generate(client, 3000)).json()["values"]
    together = await asyncio.gather(generate(client, 20_000), generate(client, 3000), generate(client, 10))
    for response in together:
        values = response.json()["values"]
        assert values[:10] == pytest.approx(alone[:10], abs=1e-5)
        assert values[:3000] == pytest.approx(alone[: len(values)], abs=1e-2)


async def test_work_stops_when_the_client_has_gone(client: httpx.AsyncClient, slow_server: Server) -> None:
    before = await metric(client, "sine_steps_total")
    async with httpx.AsyncClient(base_url=slow_server.url) as leaving:
        task = asyncio.create_task(generate(leaving, LONG))
        await begun(client)
        task.cancel()
        await asyncio.wait([task])
    assert await steps_after_they_stop_rising(client) - before < LONG / 2
    assert await metric(client, "sine_pending_steps") == 0
    assert await metric(client, "sine_requests_total", route="/generate", status="499") >= 1


async def test_work_stops_at_the_deadline_of_the_request(client: httpx.AsyncClient) -> None:
    before = await metric(client, "sine_steps_total")
    response = await generate(client, LONG, timeout_s=0.1)
    assert response.status_code == 504
    assert response.headers["content-type"] == "application/problem+json"
    assert "0.1 s" in response.json()["detail"]
    assert await steps_after_they_stop_rising(client) - before < LONG / 2
    assert await metric(client, "sine_pending_steps") == 0


async def test_what_cannot_be_done_in_time_is_refused_at_the_door(client: httpx.AsyncClient) -> None:
    long = asyncio.create_task(generate(client, LONG))
    await begun(client)
    steps = await metric(client, "sine_pending_steps")
    response = await generate(client, LONG, timeout_s=0.5)
    assert response.status_code == 503
    assert await metric(client, "sine_pending_steps") == steps, "it was queued"
    retry_after_s = int(response.headers["retry-after"])
    assert retry_after_s >= 1
    assert f"{retry_after_s} s" in response.json()["detail"]
    for _ in range(10):
        assert (await generate(client, 1)).status_code == 200, "a short one is not refused for a long one"
    await leave(client, long)


@pytest.mark.parametrize(("engine", "steps"), [("fused", 100_000), ("torchscript", 50_000)])
async def test_the_work_that_is_admitted_is_bounded_and_the_time_to_retry_is_true(
    tmp_path_factory: pytest.TempPathFactory, engine: str, steps: int
) -> None:
    folder = tmp_path_factory.mktemp("bounded")
    model = make_small_artifact(folder, hidden=256)
    with serve(folder, model=model, engine=engine, workers=1, max_steps=LONG, max_pending_s=0.5) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            responses = await asyncio.gather(*(generate(client, steps) for _ in range(16)))
            statuses = [response.status_code for response in responses]
            assert set(statuses) == {200, 503}
            assert {len(response.json()["values"]) for response in responses if response.status_code == 200} == {steps}
            waits = [int(response.headers["retry-after"]) for response in responses if response.status_code == 503]
            await asyncio.sleep(max(waits))
            assert (await generate(client, steps)).status_code == 200
            assert await metric(client, "sine_pending_steps") == 0


async def test_a_timeout_that_is_no_number_of_seconds_is_refused_by_name(client: httpx.AsyncClient) -> None:
    for wrong in (0, -1, "1", True):
        response = await generate(client, 1, timeout_s=wrong)
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == "/timeout_s"
