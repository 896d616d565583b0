"""Tests of WebSocket /live: each answer equals that of /predict for all values so far."""

import json
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.artifacts import MakeArtifact, make_small_artifact
from tests.server import Server, serve

pytestmark = pytest.mark.anyio

MAX_SEQUENCE = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("live")
    model = make_small_artifact(folder, cell="lstm")
    with serve(folder, model=model, workers=1, max_sequence=MAX_SEQUENCE) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url) as client:
        yield client


def live(server: Server) -> connect:
    return connect(server.url.replace("http", "ws") + "/live", compression=None)


async def ask(socket: ClientConnection, message: object) -> dict[str, Any]:
    await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


async def predicted(client: httpx.AsyncClient, sequence: list[float], **fields: object) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.post("/predict", json={"sequence": sequence, **fields})).json()
    return answer


@example(messages=[0.0, 2.2e-311, 0.0])  # 1 / 2.2e-311 is not finite
@given(messages=st.lists(st.one_of(st.floats(-1e15, 1e15), st.lists(st.floats(-10, 10), min_size=1)), max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_each_answer_is_that_of_predict_for_all_values_so_far(
    server: Server, client: httpx.AsyncClient, messages: list[float | list[float]]
) -> None:
    sequence: list[float] = []
    async with live(server) as socket:
        for message in messages:
            new = message if isinstance(message, list) else [message]
            if len(sequence) + len(new) > MAX_SEQUENCE:
                return
            sequence += new
            answer = await ask(socket, {"sequence": new} if isinstance(message, list) else message)
            assert answer == await predicted(client, sequence)


async def test_a_new_scale_begins_with_the_last_values_that_are_kept(server: Server, client: httpx.AsyncClient) -> None:
    sequence = [((7 * t) % 23 - 11) / 11 for t in range(3 * MAX_SEQUENCE)]
    async with live(server) as socket:
        for value in sequence:
            await ask(socket, value)
        assert await ask(socket, 5.0) == await predicted(client, [*sequence[-MAX_SEQUENCE + 1 :], 5.0])
        token = await ask(socket, {"sequence": [0.5], "return_state": True})
        then = await ask(socket, 0.25)
    assert then == await predicted(client, [0.25], state=token["state"])


async def test_a_connection_goes_on_from_a_state_at_its_scale(server: Server, client: httpx.AsyncClient) -> None:
    first = await predicted(client, [1.0, -2.0, 0.5], return_state=True)
    async with live(server) as socket:
        await ask(socket, 1000.0)
        answers = [await ask(socket, {"sequence": [0.1], "state": first["state"]}), await ask(socket, 0.2)]
        beyond = await ask(socket, 3.0)
    assert answers == [await predicted(client, [1.0, -2.0, 0.5, 0.1]), await predicted(client, [1, -2, 0.5, 0.1, 0.2])]
    assert beyond == await predicted(client, [0.1, 0.2, 3.0], state=first["state"])


@pytest.mark.parametrize(
    ("message", "pointer"),
    [
        ("", ""),
        ("NaN", ""),
        ("1.1e15", ""),
        ('"1"', ""),
        ("[1]", ""),
        ("1,2", ""),
        ("1],", ""),
        (b"\xff", ""),
        (b"", ""),
        ("1".encode("utf-16"), ""),
        ("{", ""),
        ('{"sequence": []}', "/sequence"),
        ('{"sequence": [1, "x"]}', "/sequence/1"),
        ('{"sequence": [1], "state": "AAAA"}', "/state"),
        ('{"sequence": [1], "level": [80]}', "/level"),
        ('{"sequence": [1], "other": 1}', ""),
    ],
)
async def test_a_wrong_message_is_a_problem_and_changes_nothing(
    server: Server, client: httpx.AsyncClient, message: str | bytes, pointer: str
) -> None:
    async with live(server) as socket:
        await ask(socket, 0.5)
        problem = await ask(socket, message)
        assert problem["status"] == 422
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
        assert await ask(socket, 0.25) == await predicted(client, [0.5, 0.25])


async def test_a_binary_message_is_taken_like_its_text(server: Server, client: httpx.AsyncClient) -> None:
    async with live(server) as socket:
        assert await ask(socket, b"0.5") == await predicted(client, [0.5])
        assert await ask(socket, b' {"sequence": [0.25, -1]}') == await predicted(client, [0.5, 0.25, -1])
        refused = await ask(socket, b"\xff1")
        assert "a message is text" in refused["detail"]
        assert await ask(socket, "0.75") == await predicted(client, [0.5, 0.25, -1, 0.75])


async def test_null_in_a_message_is_an_absent_field(server: Server, client: httpx.AsyncClient) -> None:
    absent = dict.fromkeys(("state", "return_state", "timeout_s", "level", "model"))
    async with live(server) as socket:
        await ask(socket, 0.5)
        assert await ask(socket, {"sequence": [0.25], **absent}) == await predicted(client, [0.5, 0.25])


async def test_a_message_that_is_too_long_ends_the_connection(server: Server) -> None:
    async with live(server) as socket:
        await socket.send("1" * 200_000)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_an_idle_connection_is_closed_and_says_why(
    make_artifact: MakeArtifact, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("idle")
    with serve(folder, model=make_artifact(), workers=1, live_idle_s=0.5) as server:
        async with live(server) as socket:

            async def one_message() -> None:
                await ask(socket, 0.5)  # may come too late on a very busy machine
                await socket.recv()

            with pytest.raises(ConnectionClosed) as closed:
                await one_message()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert closed.value.rcvd.reason == "no message for 0.5 s"


async def test_another_path_is_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(server.url.replace("http", "ws") + "/predict")
    assert refused.value.response.status_code in (403, 404)


async def test_messages_that_have_come_at_sigterm_are_answered_before_the_connection_closes(
    make_artifact: MakeArtifact, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, messages = tmp_path_factory.mktemp("leaving"), 10_000
    with serve(folder, model=make_artifact(), workers=1) as server:
        async with live(server) as socket, live(server) as idle, live(server) as hanging:
            for each in (idle, hanging):
                await ask(each, 0.5)
            hanging.transport.pause_reading()  # the server gets no confirmation of the end, and does not wait for one
            server.process.send_signal(signal.SIGSTOP)  # all messages have arrived when the server looks again
            for _ in range(messages):
                await socket.send("0.5")
            server.process.terminate()
            server.process.send_signal(signal.SIGCONT)
            answers = [json.loads(await socket.recv()) for _ in range(messages)]
            for each in (socket, idle):
                with pytest.raises(ConnectionClosed) as closed:
                    await each.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012
            hanging.transport.abort()
        assert server.process.wait(20) == 0
    assert all("prediction" in answer for answer in answers)
    assert "Traceback" not in server.log.read_text()
