"""Tests of what a client does before and around a request: it refuses wrong arguments, and bounds how many are sent."""

import array
import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction

import httpx
import numpy as np
import pytest
import torch

from sine_client import AsyncClient, Client
from sine_client.connection import MOST_REQUESTS, MOST_STREAMS
from sine_client.exchange import generation, prediction
from sine_client.limits import LARGEST_VALUE
from sine_client.messages import PredictResponse

NOBODY = "http://127.0.0.1:9"
"""An address at which nothing listens: a request that is sent to it ends with httpx.ConnectError."""

Ask = Callable[..., object]


def predict(sequence: object, **options: object) -> object:
    with Client(NOBODY, patience_s=0) as client:
        return client.predict(sequence, **options)  # type: ignore[arg-type]


def generate(sequence: object, steps: object = 1, **options: object) -> object:
    with Client(NOBODY, patience_s=0) as client:
        return client.generate(sequence, steps, **options)  # type: ignore[arg-type]


def stream(sequence: object, steps: object = 1, **options: object) -> object:
    with Client(NOBODY, patience_s=0) as client, client.stream(sequence, steps, **options) as rollout:  # type: ignore[arg-type]
        return rollout


def predict_async(sequence: object, **options: object) -> object:
    async def ask() -> object:
        async with AsyncClient(NOBODY, patience_s=0) as client:
            return await client.predict(sequence, **options)  # type: ignore[arg-type]

    return asyncio.run(ask())


def generate_async(sequence: object, steps: object = 1, **options: object) -> object:
    async def ask() -> object:
        async with AsyncClient(NOBODY, patience_s=0) as client:
            return await client.generate(sequence, steps, **options)  # type: ignore[arg-type]

    return asyncio.run(ask())


def stream_async(sequence: object, steps: object = 1, **options: object) -> object:
    async def ask() -> object:
        async with AsyncClient(NOBODY, patience_s=0) as client, client.stream(sequence, steps, **options) as rollout:  # type: ignore[arg-type]
            return rollout

    return asyncio.run(ask())


ROLLOUTS: list[Ask] = [generate, stream, generate_async, stream_async]
WAYS: list[Ask] = [predict, predict_async, *ROLLOUTS]


@pytest.mark.parametrize("ask", WAYS)
def test_a_right_request_is_sent(ask: Ask) -> None:
    with pytest.raises(httpx.ConnectError):
        ask([1.0])


NO_SEQUENCES: dict[str, object] = {
    "text": "1 2 3",
    "bytes": b"123",
    "bytearray": bytearray(b"123"),
    "None": None,
    "number": 5,
    "NumPy number": np.float32(5),
    "truth value": True,
    "dictionary": {1.0: 2.0},
    "set": {1.0, 2.0},
    "object": object(),
    "function": len,
    "array without dimensions": np.array(1.0),
    "tensor without dimensions": torch.tensor(1.0),
    "matrix": np.ones((2, 2)),
    "column": np.ones((2, 1)),
    "matrix of torch": torch.ones(2, 1),
    "nested list": [[1.0], [2.0]],
    "generator of lists": ([1.0] for _ in range(2)),
    "texts": ["1", "2"],
    "array of texts": np.array(["1", "2"]),
    "truth values": [True, False],
    "array of truth values": np.array([True, False]),
    "None inside": [1.0, None],
    "complex numbers": [1j],
    "NaN": [float("nan")],
    "infinity": np.array([np.inf]),
    "too large": [LARGEST_VALUE * 10],
    "too large for a float": [10**400],
}


@pytest.mark.parametrize("name", NO_SEQUENCES)
@pytest.mark.parametrize("ask", WAYS)
def test_what_is_no_sequence_of_numbers_is_a_value_error(ask: Ask, name: str) -> None:
    if name == "generator of lists":  # it can be read once
        NO_SEQUENCES[name] = ([1.0] for _ in range(2))
    with pytest.raises(ValueError, match="sequence"):
        ask(NO_SEQUENCES[name])


NO_STEPS = [0, -1, 2.0, "2", True, None, [2], np.float64(2), np.array([2])]


@pytest.mark.parametrize("steps", NO_STEPS, ids=repr)
@pytest.mark.parametrize("ask", ROLLOUTS)
def test_what_is_no_number_of_steps_is_a_value_error(ask: Ask, steps: object) -> None:
    with pytest.raises(ValueError, match="steps"):
        ask([1.0], steps)


NO_OPTIONS = [
    ("level", 80),
    ("level", "80"),
    ("level", []),
    ("level", [0]),
    ("level", [80.5]),
    ("level", ["80"]),
    ("level", [True]),
    ("level", {80: 95}),
    ("state", 5),
    ("state", b"state"),
    ("model", 5),
    ("model", ["sine"]),
    ("return_state", 1),
    ("return_state", "no"),
    ("timeout_s", "5"),
    ("timeout_s", True),
    ("timeout_s", 0),
    ("timeout_s", float("nan")),
    ("levels", [80]),
    ("kind", 1),
    ("fields", 1),
]


@pytest.mark.parametrize(("name", "value"), NO_OPTIONS)
@pytest.mark.parametrize("ask", WAYS)
def test_what_is_no_option_is_a_value_error(ask: Ask, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        ask([1.0], **{name: value})


@pytest.mark.parametrize("patience", [-1, float("nan"), "5", None, True])
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_patience_is_a_number_of_seconds(client: type[Client], patience: float) -> None:
    with pytest.raises(ValueError, match="patience_s is not a number of seconds"):
        client(NOBODY, patience_s=patience)


SEQUENCES = [
    (1, 2),
    range(1, 3),
    iter([1, 2.0]),
    (float(value) for value in (1, 2)),
    {"a": 1, "b": 2}.values(),
    array.array("d", [1, 2]),
    np.array([1, 2], np.int64),
    np.array([1, 2], np.float16),
    np.array([1, 2], object),
    [np.float32(1), np.int8(2)],
    [np.array(1), torch.tensor(2)],
    [Decimal(1), Fraction(2)],
    torch.tensor([1, 2]),
    torch.tensor([1.0, 2.0], requires_grad=True),
]


@pytest.mark.parametrize("number", range(len(SEQUENCES)))
def test_numbers_of_every_kind_are_values(number: int) -> None:
    assert prediction(SEQUENCES[number], {}) == b'{"sequence":[1.0,2.0]}'  # type: ignore[arg-type]


def test_numbers_of_numpy_are_options_too() -> None:
    levels, seconds, none = np.array([80, 95]), np.float32(5), np.bool_(False)
    assert (
        generation([1.0], np.int64(2), {"level": levels, "timeout_s": seconds, "return_state": none})  # type: ignore[arg-type, typeddict-item]
        == generation([1.0], 2, {"level": [80, 95], "timeout_s": 5.0})
    )
    assert prediction([1.0], {"level": (80, 95)}) == prediction([1.0], {"level": [80, 95]})  # type: ignore[typeddict-item]


class Busy:
    """A service that counts the requests under way, and holds each until no further one comes."""

    def __init__(self) -> None:
        self.most = self._now = self.answered = 0
        self._lock = threading.Lock()

    def begin(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def end(self) -> httpx.Response:
        with self._lock:
            self._now -= 1
            self.answered += 1
        return httpx.Response(200, content=PredictResponse(prediction=1.0).model_dump_json())


@pytest.mark.anyio
async def test_tasks_wait_for_their_turn() -> None:
    busy = Busy()

    async def answer(_: httpx.Request) -> httpx.Response:
        busy.begin()
        for _turn in range(100):
            await asyncio.sleep(0)
        return busy.end()

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://busy")
    async with AsyncClient(http) as client:
        await asyncio.gather(*(client.predict([1.0]) for _ in range(3 * MOST_REQUESTS)))
    assert (busy.most, busy.answered) == (MOST_REQUESTS, 3 * MOST_REQUESTS)


def test_threads_wait_for_their_turn() -> None:
    busy, together = Busy(), threading.Barrier(MOST_REQUESTS)

    def answer(_: httpx.Request) -> httpx.Response:
        busy.begin()
        together.wait(60)
        return busy.end()

    http, count = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://busy"), 3 * MOST_REQUESTS
    with Client(http) as client, ThreadPoolExecutor(count) as threads:
        answers = list(threads.map(client.predict, [[1.0]] * count))
    assert len(answers) == count
    assert busy.most == MOST_REQUESTS


@pytest.mark.anyio
async def test_a_failed_request_gives_its_turn_back() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(fail), base_url="http://silent")
    async with AsyncClient(http) as client:
        for _ in range(MOST_REQUESTS + MOST_STREAMS + 1):
            with pytest.raises(httpx.ReadTimeout):
                await client.predict([1.0])
            with pytest.raises(httpx.ReadTimeout):
                async with client.stream([1.0], 1):
                    pass


SILENT = [
    httpx.ConnectTimeout,
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.PoolTimeout,
    httpx.ConnectError,
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.RemoteProtocolError,
    httpx.LocalProtocolError,
    httpx.ProxyError,
]


@pytest.mark.parametrize("error", SILENT)
@pytest.mark.anyio
async def test_no_error_of_the_network_is_without_a_message(error: type[httpx.TransportError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("", request=request)

    with (
        Client(httpx.Client(transport=httpx.MockTransport(fail), base_url="http://silent"), patience_s=0) as client,
        pytest.raises(error, match=r"\w+ \w+") as caught,
    ):
        client.predict([1.0])
    assert caught.value.request.url == "http://silent/predict"
    http = httpx.AsyncClient(transport=httpx.MockTransport(fail), base_url="http://silent")
    async with AsyncClient(http, patience_s=0) as other:
        with pytest.raises(error, match=r"\w+ \w+"):
            await other.predict([1.0])


def test_an_error_in_a_stream_is_not_without_a_message() -> None:
    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            raise httpx.ReadError("")
            yield

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Broken())

    with Client(httpx.Client(transport=httpx.MockTransport(answer), base_url="http://silent")) as client:  # noqa: SIM117
        with client.stream([1.0], 1) as rollout, pytest.raises(httpx.ReadError, match="broke off"):
            list(rollout)


@pytest.mark.parametrize("content", ["<html>It works!</html>", "{}", "", '{"prediction":"high"}', "[]"])
def test_an_answer_of_something_else_is_an_error_of_the_network(content: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=content)

    with (
        Client(httpx.Client(transport=httpx.MockTransport(answer), base_url="http://other")) as client,
        pytest.raises(httpx.HTTPError, match="something else listens at the address"),
    ):
        client.predict([1.0])
