"""Tests of long rollouts: they delay nobody, they end when nobody wants them, and their number is bounded.

The tests run with both runtimes: the fused one advances one job at a time, TorchScript a batch. A gate before the
model's thread keeps long rollouts from their end for as long as a test wants, on the fastest machine too.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import torch

from app.engine.admission import OWN_COST_FACTOR
from tests.artifacts import make_small_artifact
from tests.gate import Gate
from tests.metrics import metric, steps_after_they_stop_rising
from tests.server import Server, serve
from tests.waiting import wait_for_async

pytestmark = pytest.mark.anyio

LONG = 10_000_000
"""The steps of a rollout that a closed gate keeps from its end."""


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture(
    scope="module",
    params=[("cpu", "fused"), ("cpu", "torchscript"), pytest.param(("cuda", "torchscript"), marks=needs_cuda)],
    ids="-".join,
)
def server(request: pytest.FixtureRequest, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("slow")
    device, engine = request.param
    limits = {"workers": 1, "max_steps": LONG, "max_pending_s": 1e9, "timeout_s": 1e9}
    with serve(folder, gate, model=make_small_artifact(folder), device=device, engine=engine, **limits) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        yield client


async def generate(client: httpx.AsyncClient, steps: int, **fields: object) -> httpx.Response:
    return await client.post("/generate", json={"sequence": [0.0, 0.5, 1.0], "steps": steps, **fields})


async def waiting(client: httpx.AsyncClient, rollouts: int) -> None:
    """Wait until this number of long rollouts is admitted."""
    steps = rollouts * (3 + LONG)
    await wait_for_async("them to wait", lambda: metric(client.base_url, "sine_pending_steps") == steps)


async def leave(client: httpx.AsyncClient, *requests: asyncio.Task[httpx.Response]) -> None:
    """Cancel the requests, and wait until the service has noticed."""
    for request in requests:
        request.cancel()
    await asyncio.wait(requests)
    await wait_for_async("it to be noticed", lambda: metric(client.base_url, "sine_pending_steps") == 0)


async def answered(client: httpx.AsyncClient, allow: Callable[[int], object]) -> int:
    """Return the status of a short request while the gate is closed.

    The request needs two turns: the one that has begun, and its own.

    The fused runtime answers it on the event loop, where there is no gate.
    """
    before = metric(client.base_url, "sine_pending_steps")
    short = asyncio.create_task(generate(client, 1))
    await wait_for_async(
        "it to wait for its turn", lambda: short.done() or metric(client.base_url, "sine_pending_steps") > before
    )
    allow(2)
    return (await short).status_code


async def test_a_short_request_does_not_wait_for_long_rollouts(client: httpx.AsyncClient, gate: Gate) -> None:
    with gate.closed() as allow:
        long = [asyncio.create_task(generate(client, LONG)) for _ in range(3)]
        await waiting(client, 3)
        for _ in range(5):
            assert await answered(client, allow) == 200
        assert not any(task.done() for task in long)
        await leave(client, *long)


async def test_a_long_and_a_short_rollout_of_the_same_sequence_agree(client: httpx.AsyncClient) -> None:
    alone = (await generate(client, 3000)).json()["values"]
    together = await asyncio.gather(generate(client, 20_000), generate(client, 3000), generate(client, 10))
    for response in together:
        values = response.json()["values"]
        assert values[:10] == pytest.approx(alone[:10], abs=1e-5)
        assert values[:3000] == pytest.approx(alone[: len(values)], abs=1e-2)


async def test_work_stops_when_the_client_has_gone(client: httpx.AsyncClient, server: Server, gate: Gate) -> None:
    before = metric(server.url, "sine_steps_total")
    with gate.closed() as allow:
        async with httpx.AsyncClient(base_url=server.url) as leaving:
            task = asyncio.create_task(generate(leaving, LONG))
            await waiting(client, 1)
            allow(3)
            await wait_for_async("it to have begun", lambda: metric(server.url, "sine_steps_total") > before)
            await leave(client, task)
    assert steps_after_they_stop_rising(server.url) - before < LONG / 2
    assert metric(server.url, "sine_pending_steps") == 0
    assert metric(server.url, "sine_requests_total", route="/generate", status="499") >= 1


async def test_work_stops_at_the_deadline_of_the_request(client: httpx.AsyncClient, server: Server, gate: Gate) -> None:
    before = metric(server.url, "sine_steps_total")
    with gate.closed():
        response = await generate(client, LONG, timeout_s=0.1)
    assert response.status_code == 504
    assert response.headers["content-type"] == "application/problem+json"
    assert "0.1 s" in response.json()["detail"]
    assert steps_after_they_stop_rising(server.url) - before < LONG / 2
    assert metric(server.url, "sine_pending_steps") == 0


async def test_work_that_cannot_meet_its_deadline_is_refused_at_once(client: httpx.AsyncClient, gate: Gate) -> None:
    with gate.closed() as allow:
        long = asyncio.create_task(generate(client, LONG))
        await waiting(client, 1)
        response = await generate(client, LONG, timeout_s=1e-6)  # no machine makes this number of steps in that time
        assert response.status_code == 503
        await waiting(client, 1)  # the request was not queued
        retry_after_s = int(response.headers["retry-after"])
        assert retry_after_s >= 1
        assert f"{retry_after_s} s" in response.json()["detail"]
        for _ in range(10):
            assert await answered(client, allow) == 200, "long requests shut out no short one"
        await leave(client, long)


@pytest.mark.parametrize(("engine", "steps"), [("fused", 100_000), ("torchscript", 5_000)])
async def test_the_work_that_is_admitted_is_bounded_and_the_time_to_retry_is_true(
    tmp_path: Path, engine: str, steps: int
) -> None:
    model, gate = make_small_artifact(tmp_path), Gate(tmp_path)
    # With larger batches, TorchScript would take all of them at once.
    limits = {"max_steps": LONG, "max_pending_s": 1e-6, "timeout_s": 1e9, "max_batch": 1}
    with serve(tmp_path, gate, model=model, engine=engine, workers=1, **limits) as server:
        refused = partial(metric, server.url, "sine_requests_total", route="/generate", status="503")
        pending = partial(metric, server.url, "sine_pending_steps")
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            with gate.closed():
                requests = [asyncio.create_task(generate(client, steps)) for _ in range(16)]
                await wait_for_async("all to be admitted or refused", lambda: pending() / (3 + steps) + refused() == 16)
                admitted = pending() / (3 + steps)
            assert 0 < admitted <= OWN_COST_FACTOR + 1
            responses = await asyncio.gather(*requests)
            statuses = [response.status_code for response in responses]
            assert Counter(statuses) == {200: admitted, 503: 16 - admitted}
            assert {len(response.json()["values"]) for response in responses if response.status_code == 200} == {steps}
            waits = [int(response.headers["retry-after"]) for response in responses if response.status_code == 503]
            await asyncio.sleep(max(waits))
            assert (await generate(client, steps)).status_code == 200
            assert metric(server.url, "sine_pending_steps") == 0


async def test_a_timeout_that_is_no_number_of_seconds_is_refused_by_name(client: httpx.AsyncClient) -> None:
    for wrong in (0, -1, "1", True):
        response = await generate(client, 1, timeout_s=wrong)
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == "/timeout_s"
