"""The client of `client/sine_client` against real servers, and its command line where a stream is left early."""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from sine_client import AsyncClient, Client, ServiceError
from sine_client.connection import MOST_STREAMS
from sine_client.messages import GenerateResponse
from tests.artifacts import MakeArtifact, make_small_artifact
from tests.gate import Gate
from tests.metrics import metric
from tests.server import ROOT, Server, free_port, serve, start
from tests.waiting import wait_for_async

WAVE = [0.0, 0.5, 1.0, 0.5, 0.0, -0.5, -1.0, -0.5] * 8
LONG = 1_000_000


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory, gate: Gate) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("slow")
    limits = {"workers": 1, "max_steps": LONG, "max_pending_s": 1e-6, "timeout_s": 1e9}
    with serve(folder, gate, model=make_small_artifact(folder), **limits) as server:
        yield server


@pytest.mark.anyio
async def test_both_clients_answer_what_the_service_does(client: httpx.AsyncClient, server: Server) -> None:
    options = {"level": [80, 95], "return_state": True, "timeout_s": 5.0}
    raw = [
        (await client.get("/model")).json(),
        (await client.post("/predict", json={"sequence": WAVE, **options})).json(),
        (await client.post("/generate", json={"sequence": WAVE, "steps": 200, **options})).json(),
    ]
    with Client(server.url) as one:
        answers = [
            one.model(),
            one.predict(WAVE, level=[80, 95], return_state=True, timeout_s=5),
            one.generate(WAVE, 200, level=[80, 95], return_state=True, timeout_s=5),
        ]
    assert [answer.model_dump(exclude_unset=True) for answer in answers] == raw
    async with AsyncClient(server.url) as other:
        assert answers == [
            await other.model(),
            await other.predict(WAVE, level=[80, 95], return_state=True, timeout_s=5),
            await other.generate(WAVE, 200, level=[80, 95], return_state=True, timeout_s=5),
        ]


@pytest.mark.anyio
async def test_a_stream_is_the_rollout_of_generate(server: Server) -> None:
    with Client(server.url) as client:
        whole = client.generate(WAVE, 5000, return_state=True)
        with client.stream(WAVE, 5000, return_state=True) as rollout:
            parts = list(rollout)
    assert len(parts) > 1
    assert [value for part in parts for value in part.values] == whole.values
    assert (rollout.end.finish_reason, rollout.end.state) == (whole.finish_reason, whole.state)
    async with AsyncClient(server.url) as other, other.stream(WAVE, 5000, return_state=True) as same:
        assert [part async for part in same] == parts
    assert same.end == rollout.end


def test_a_state_stands_for_the_sequence(server: Server) -> None:
    with Client(server.url) as client:
        first = client.predict(WAVE[:40], return_state=True)
        assert first.state is not None
        assert client.predict(WAVE[40:], state=first.state) == client.predict(WAVE)
        assert client.generate([], 9, state=first.state) == client.generate(WAVE[:40], 9)


@pytest.mark.anyio
async def test_a_refusal_is_one_error_with_its_problem(server: Server) -> None:
    with Client(server.url) as client:
        with pytest.raises(ServiceError, match="less than or equal to 10000") as caught:
            client.generate(WAVE, 10_001)
        with pytest.raises(ServiceError) as of_stream, client.stream(WAVE, 10_001):
            pass
    async with AsyncClient(server.url) as other:
        with pytest.raises(ServiceError) as of_other:
            await other.generate(WAVE, 10_001)
    assert caught.value.status == 422
    assert [error.pointer for error in caught.value.problem.errors or []] == ["/steps"]
    assert of_stream.value.problem == of_other.value.problem == caught.value.problem
    with Client(f"{server.url}/nowhere") as client, pytest.raises(ServiceError) as not_found:
        client.model()
    assert not_found.value.status == 404


@pytest.mark.anyio
async def test_leaving_a_stream_ends_the_request(slow_server: Server) -> None:
    streams = partial(metric, slow_server.url, "sine_requests_total", route="/generate/stream", status="200")
    ended, steps = streams(), metric(slow_server.url, "sine_steps_total")
    async with AsyncClient(slow_server.url) as other:
        with Client(slow_server.url) as client:
            with client.stream(WAVE, LONG) as rollout:
                parts = iter(rollout)
                assert next(parts).values
            async with other.stream(WAVE, LONG) as same:
                later = aiter(same)
                assert (await anext(later)).values
            # Before the clients are closed, which would end it too.
            await wait_for_async("the end of both", lambda: streams() >= ended + 2)
            assert client.predict(WAVE).prediction == (await other.predict(WAVE)).prediction
    assert metric(slow_server.url, "sine_steps_total") - steps < LONG


@pytest.mark.anyio
async def test_refused_for_load_is_asked_again_when_the_service_says(slow_server: Server, gate: Gate) -> None:
    steps = 50_000
    refused = partial(metric, slow_server.url, "sine_requests_total", route="/generate", status="503")
    assert refused() == 0

    async def at_once(patience_s: float) -> list[GenerateResponse | BaseException]:
        """The results of ten requests that are all there before the first is done."""
        before = refused()
        async with AsyncClient(slow_server.url, patience_s=patience_s) as client:
            with gate.closed():
                asked = [asyncio.create_task(client.generate(WAVE, steps)) for _ in range(10)]
                await wait_for_async("refusals", lambda: refused() > before)
            return await asyncio.gather(*asked, return_exceptions=True)

    answers = await at_once(patience_s=60)
    assert [len(answer.values) for answer in answers if isinstance(answer, GenerateResponse)] == [steps] * 10
    errors = [result for result in await at_once(patience_s=0) if isinstance(result, ServiceError)]
    assert 0 < len(errors) < 10
    for error in errors:
        assert error.status == 503
        assert error.retry_after_s is not None
        assert error.retry_after_s >= 1


def test_a_service_that_only_starts_is_waited_for(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    port = free_port()
    with Client(f"http://127.0.0.1:{port}", patience_s=0) as client, pytest.raises(httpx.ConnectError):
        client.predict(WAVE)
    process, _ = start(tmp_path, model=make_artifact(), workers=1, port=port)
    try:
        with Client(f"http://127.0.0.1:{port}", patience_s=120) as client:
            assert client.predict(WAVE).prediction
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.anyio
async def test_a_service_that_is_not_ready_is_asked_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Settings(model=make_small_artifact(tmp_path), workers=1))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://in-process")
    caplog.set_level(logging.WARNING, "sine_client")
    async with AsyncClient(http) as client:
        answer = asyncio.create_task(client.predict(WAVE))
        while "starting or stopping" not in caplog.text:
            assert not answer.done()
            await asyncio.sleep(0.01)
        async with app.router.lifespan_context(app):
            assert (await answer).prediction


@pytest.mark.anyio
async def test_a_gather_of_many_requests_is_answered(server: Server) -> None:
    async with AsyncClient(server.url) as client:
        first, *answers = await asyncio.gather(*(client.predict(WAVE) for _ in range(2000)))
    assert answers == [first] * 1999


@pytest.mark.anyio
async def test_a_gather_of_many_streams_is_answered(server: Server) -> None:
    async def ask(client: AsyncClient) -> list[float]:
        async with client.stream(WAVE, 10) as rollout:
            return [value async for part in rollout for value in part.values]

    async with AsyncClient(server.url) as client:
        first, *answers = await asyncio.gather(*(ask(client) for _ in range(3 * MOST_STREAMS)))
    assert len(first) == 10
    assert answers == [first] * (3 * MOST_STREAMS - 1)


def test_many_threads_are_answered(server: Server) -> None:
    with Client(server.url) as client, ThreadPoolExecutor(200) as threads:
        first, *answers = threads.map(client.predict, [WAVE] * 400)
    assert answers == [first] * 399


def test_an_address_needs_no_scheme(server: Server) -> None:
    host, port = server.address
    with Client(f"{host}:{port}") as client, Client(f" http://{host}:{port}/\n") as same:
        assert client.predict(WAVE) == same.predict(WAVE)


@pytest.mark.anyio
async def test_a_service_that_stays_silent_is_an_error_with_a_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            Client(httpx.Client(base_url=url, timeout=0.05)) as client,
            pytest.raises(httpx.ReadTimeout, match=r"\w"),
        ):
            client.predict(WAVE)
        async with AsyncClient(httpx.AsyncClient(base_url=url, timeout=0.05)) as other:
            with pytest.raises(httpx.ReadTimeout, match=r"\w"):
                await other.predict(WAVE)


def test_head_ends_a_stream_quietly(slow_server: Server) -> None:
    command = (
        f"echo 0 1 0 -1 | {sys.executable} -m sine_client stream --steps {LONG} --url {slow_server.url} | head -n 1"
    )
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert float(ran.stdout)


def test_ctrl_c_ends_a_stream_quietly(slow_server: Server, tmp_path: Path) -> None:
    (tmp_path / "wave.txt").write_text("0 1 0 -1")
    command = [sys.executable, "-m", "sine_client", "stream", tmp_path / "wave.txt"]
    command += ["--url", slow_server.url, "--steps", str(LONG)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
