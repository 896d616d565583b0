"""The client of `app/client` against real servers, and its command line."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.client import AsyncClient, Client, ServiceError
from app.main import create_app
from app.schemas import GenerateResponse
from app.settings import Settings
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
    caplog.set_level(logging.WARNING, "app.client")
    async with AsyncClient(http) as client:
        answer = asyncio.create_task(client.predict(WAVE))
        while "starting or stopping" not in caplog.text:
            assert not answer.done()
            await asyncio.sleep(0.01)
        async with app.router.lifespan_context(app):
            assert (await answer).prediction


def ask(server: Server, *arguments: object, text: str | None = None, **environment: str) -> tuple[int, str, str]:
    """The status and what was written by `python -m app.client`."""
    ran = subprocess.run(
        [sys.executable, "-m", "app.client", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"SINE_URL": server.url} | environment,
        input=text if text is not None else "\n".join(map(str, WAVE)),
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_the_command_line_prints_one_number_a_line(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        answer = client.generate(WAVE, 300)
    lines = "".join(f"{value}\n" for value in answer.values)
    assert ask(server, "generate", "--steps", 300) == (0, lines, "")
    assert ask(server, "stream", "--steps", 300) == (0, lines, "")
    (tmp_path / "wave.csv").write_text(", ".join(map(str, WAVE)))
    assert ask(server, "predict", tmp_path / "wave.csv", text="not read") == (0, f"{answer.values[0]}\n", "")


def test_levels_are_columns_with_names(server: Server) -> None:
    with Client(server.url) as client:
        answer = client.generate(WAVE, 256, level=[80, 95])
    assert answer.intervals is not None
    columns = [answer.values, *answer.intervals.values()]
    rows = ["value\tlo-95\tlo-80\thi-80\thi-95", *("\t".join(map(str, row)) for row in zip(*columns, strict=True))]
    for command in ("generate", "stream"):
        status, printed, _ = ask(server, command, "--steps", 256, "--level", 80, "--level", 95)
        assert (status, printed.splitlines()) == (0, rows)


def test_json_is_what_the_service_answers(server: Server) -> None:
    with Client(server.url) as client:
        answer = client.generate(WAVE, 300)
        model = client.model()
    assert json.loads(ask(server, "generate", "--steps", 300, "--json")[1]) == answer.model_dump(exclude_unset=True)
    *parts, end = map(json.loads, ask(server, "stream", "--steps", 300, "--json")[1].splitlines())
    assert [value for part in parts for value in part["values"]] == answer.values
    assert end == {"finish_reason": "length"}
    assert json.loads(ask(server, "model")[1]) == model.model_dump()


def test_a_plot_is_drawn_as_wide_as_the_terminal(server: Server) -> None:
    status, drawn, errors = ask(server, "generate", "--steps", 100, "--plot", "--level", 95, COLUMNS="100")
    assert (status, errors) == (0, "")
    assert 86 <= max(map(len, drawn.splitlines())) <= 100
    assert "lo-95" in drawn


def test_a_state_goes_from_file_to_file(server: Server, tmp_path: Path) -> None:
    whole = ask(server, "predict")[1]
    state = tmp_path / "state"
    first, rest = (" ".join(map(str, part)) for part in (WAVE[:40], WAVE[40:]))
    assert ask(server, "predict", "--save-state", state, text=first)[0] == 0
    assert ask(server, "predict", "--state", state, "--save-state", state, text=rest) == (0, whole, "")
    ahead = ask(server, "stream", "--state", state, "--save-state", state, "--steps", 3, text="")[1]
    assert (
        ahead + ask(server, "generate", "--state", state, "--steps", 4, text="")[1]
        == ask(server, "generate", "--steps", 7)[1]
    )


def test_head_ends_a_stream_quietly(slow_server: Server) -> None:
    command = (
        f"echo 0 1 0 -1 | {sys.executable} -m app.client stream --steps {LONG} --url {slow_server.url} | head -n 1"
    )
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert float(ran.stdout)


def test_ctrl_c_ends_a_stream_quietly(slow_server: Server, tmp_path: Path) -> None:
    (tmp_path / "wave.txt").write_text("0 1 0 -1")
    command = [sys.executable, "-m", "app.client", "stream", tmp_path / "wave.txt"]
    command += ["--url", slow_server.url, "--steps", str(LONG)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "text", "status", "said"),
    [
        (["predict"], "1 2\nthree", 2, "error: input, line 2: 'three' is not a finite number"),
        (["predict"], "", 2, "error: sequence: List should have at least 1 item"),
        (["predict", "no-such-file"], "1", 2, "no-such-file"),
        (["predict", "--state", "no-such-file"], "1", 2, "no-such-file"),
        (["generate", "--steps", "0"], "1", 2, "error: steps: Input should be greater than or equal to 1"),
        (["generate", "--steps", "10001"], "1", 1, "error: 422 /steps: input should be less than or equal to 10000"),
        (["predict", "--url", "http://127.0.0.1:9", "--patience", "0"], "1", 1, "error: http://127.0.0.1:9: "),
        (["predict", "--url", "localhost"], "1", 1, "error: localhost: "),
        (["predict", "--url", "http://host:port"], "1", 2, "error: Invalid port: 'port'"),
    ],
)
def test_what_goes_wrong_is_one_clear_line(
    server: Server, arguments: list[str], text: str, status: int, said: str
) -> None:
    ended, printed, errors = ask(server, *arguments, text=text)
    assert (ended, printed) == (status, "")
    assert errors.startswith("python -m app.client: error: ")
    assert said in errors
    assert errors.count("\n") == 1
