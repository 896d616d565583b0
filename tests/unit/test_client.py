"""Unit tests of the client: values from text, retries, and streams that arrive in arbitrary pieces."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import pairwise

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sine_client import Client, Rollout, ServiceError
from sine_client.exchange import generation, service_error
from sine_client.limits import LARGEST_VALUE
from sine_client.messages import ProblemDetails, StreamedValues, StreamEnd
from sine_client.plot import plot
from sine_client.retries import pause_s
from sine_client.values import read_values
from tests.server import ROOT

values = st.lists(st.floats(-1e15, 1e15))
separators = st.sampled_from([" ", "\n", ",", ", ", "\t", "\r\n", "\n\n", " ,\n"])


def test_the_client_needs_no_more_than_httpx_and_the_contract() -> None:
    heavy = ("torch", "numba", "fastapi", "starlette", "uvicorn", "uniplot")
    program = f"import sys, sine_client; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@given(st.lists(st.tuples(st.floats(-1e15, 1e15), separators)))
def test_values_are_read_whatever_is_between_them(pairs: list[tuple[float, str]]) -> None:
    text = "".join(f"{value}{separator}" for value, separator in pairs)
    assert read_values(text.splitlines(), "input") == [value for value, _ in pairs]


@pytest.mark.parametrize(
    "text", ["1,2,3", "1, 2, 3", "1,\n2,\n3", "\ufeff1 2 3", "1\n\ufeff2\n3", "+1. 2.e0 30e-1", "1.0,2.0 3"]
)
def test_separators_and_byte_order_marks_are_no_part_of_a_value(text: str) -> None:
    assert read_values(text.splitlines(), "input") == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "text", ["0,5", "-0,5", "0,5,", "0,5 0,7", "0,5, 0,7", "3,14e2", "1.234,5", "1,234.5", "1,234"]
)
def test_a_comma_that_may_be_part_of_a_number_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"^wave\.txt, line 2: .* may have a decimal comma: write a decimal point, or "
    ):
        read_values(["1\n", text], "wave.txt")


@pytest.mark.parametrize("text", ["1,,3", "1, ,3", "1,2,,"])
def test_a_missing_value_is_not_left_out(text: str) -> None:
    with pytest.raises(ValueError, match=r"^wave\.txt, line 2: there is no value between two commas$"):
        read_values(["1\n", text], "wave.txt")


BAD_WORDS = [
    "three",
    "nan",
    "inf",
    "infinity",
    f"-{LARGEST_VALUE * 10:g}",
    "1e400",
    "0x10",
    "1;2",
    "\x00",
    "\u22125",
    "1_0",
]
BAD_WORDS += ["\uff11", "\u0663", "1\u00a0234", "1'234", "1d5", "\ufffd"]


@pytest.mark.parametrize("word", BAD_WORDS)
def test_a_word_that_is_no_value_is_named_with_its_line(word: str) -> None:
    with pytest.raises(ValueError, match=r"wave\.txt, line 3: ") as caught:
        read_values(["1, 2\n", "\n", f"3 {word} 4\n"], "wave.txt")
    assert repr(word) in str(caught.value)
    assert f"at most {LARGEST_VALUE:g}" in str(caught.value)


def test_any_iterable_of_numbers_is_a_sequence() -> None:
    wave = [0.5, -1.0, 0.25]
    ways: list[Iterable[float]] = [wave, tuple(wave), iter(wave), np.array(wave), np.array(wave, np.float32)]
    for way in ways:
        assert generation(way, 2, {}) == b'{"sequence":[0.5,-1.0,0.25],"steps":2}'


@pytest.mark.parametrize(("sequence", "steps"), [([float("nan")], 1), ([LARGEST_VALUE * 10], 1), ([1.0], 0)])
def test_invalid_requests_are_not_sent(sequence: list[float], steps: int) -> None:
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(ValueError, match="validation error for GenerateRequest"),
    ):
        client.generate(sequence, steps)


@pytest.mark.parametrize("columns", [60, 80, 150])
@pytest.mark.parametrize("largest", [1e-6, 1.0, 987_654.3])
def test_a_plot_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, largest: float) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    wave = (largest * np.sin(np.arange(200) / 4)).tolist()
    ends = {"lo-95": [value - largest for value in wave], "hi-95": [value + largest for value in wave]}
    *curves, legend = plot(wave, wave, ends).splitlines()
    assert columns - 14 <= max(map(len, curves)) <= columns
    assert [name for name in ("values", "lo-95", "hi-95", "forecast") if name not in legend] == []
    assert "\x1b" not in "".join(curves), "no colours without a terminal"


def test_a_forecast_of_one_value_or_after_none_is_drawn() -> None:
    assert "forecast" in plot([1.0], [1.0], None)
    assert "values" not in plot([], [1.0, 2.0], None)
    assert "forecast" not in plot([1.0, 2.0], [], {"lo-80": [], "hi-80": []})
    assert plot([], [], None) == "nothing to draw"


def refused(status: int, retry_after: str | None = None) -> ServiceError:
    problem = ProblemDetails(title="Some", status=status, detail="Some detail.")
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return service_error(httpx.Response(status, headers=headers, content=problem.model_dump_json()))


@pytest.mark.parametrize(
    ("error", "attempts", "expected"),
    [
        (refused(503, "7"), 1, 7.0),
        (refused(503, "7"), 5, 7.0),
        (refused(503, "0"), 1, 0.5),
        (refused(503), 2, 1.0),
        (refused(503, "Wed, 21 Oct 2026 07:28:00 GMT"), 1, 0.5),
        (refused(422), 1, None),
        (refused(429, "7"), 1, 7.0),
        (refused(500), 1, None),
        (refused(504), 1, None),
        (httpx.ConnectError("refused"), 1, 0.5),
        (httpx.ConnectError("refused"), 3, 2.0),
        (httpx.ConnectTimeout("nobody"), 100, 8.0),
        (httpx.ReadError("reset"), 1, 0.5),
        (httpx.RemoteProtocolError("closed"), 1, 0.5),
        (httpx.ReadTimeout("slow"), 1, None),
        (httpx.UnsupportedProtocol("ftp"), 1, None),
        (KeyboardInterrupt(), 1, None),
        (None, 1, None),
    ],
)
def test_a_request_is_sent_again_when_that_is_of_use(
    error: BaseException | None, attempts: int, expected: float | None
) -> None:
    assert pause_s(error, attempts) == expected


def test_the_client_waits_no_longer_than_its_patience() -> None:
    asked = 0

    def in_an_hour(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(503, headers={"retry-after": "3600"}, text="<html>busy</html>")

    with (
        Client(
            httpx.Client(transport=httpx.MockTransport(in_an_hour), base_url="http://busy"), patience_s=60
        ) as client,
        pytest.raises(ServiceError, match="503 Service Unavailable") as caught,
    ):
        client.predict([1.0])
    assert asked == 1
    assert (caught.value.status, caught.value.retry_after_s) == (503, 3600)


def streamed(*events: tuple[str, BaseModel | str], cuts: Sequence[int] = ()) -> httpx.Response:
    """Return the response with these events. It arrives in pieces that end at the offsets `cuts`."""
    written = [(name, data if isinstance(data, str) else data.model_dump_json()) for name, data in events]
    content = ": keep-alive\n\n".join(f"event: {name}\ndata: {data}\n\n" for name, data in written).encode()
    ends = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})

    class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return (content[first:last] for first, last in pairwise(ends))

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in self:
                yield piece

    return httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, stream=Pieces())


@given(parts=st.lists(values), cuts=st.lists(st.integers(0)))
def test_a_stream_is_read_wherever_it_is_cut(parts: list[list[float]], cuts: list[int]) -> None:
    sent = [StreamedValues(values=part, intervals={"lo-80": part}) for part in parts]
    end = StreamEnd(finish_reason="length", state="a token")
    rollout = Rollout(streamed(*(("values", part) for part in sent), ("done", end), cuts=cuts))
    assert list(rollout) == sent
    assert rollout.end == end


@pytest.mark.anyio
async def test_a_stream_is_read_asynchronously_as_well() -> None:
    part, end = StreamedValues(values=[1.0, 2.0]), StreamEnd(finish_reason="diverged")
    rollout = Rollout(streamed(("values", part), ("done", end), cuts=range(0, 1000, 7)))
    assert [read async for read in rollout] == [part]
    assert rollout.end == end


def test_a_stream_that_breaks_off_is_an_error() -> None:
    part = StreamedValues(values=[1.0])
    rollout = Rollout(streamed(("values", part)))
    parts = iter(rollout)
    assert next(parts) == part
    with pytest.raises(ValueError, match="only when all of its parts were read"):
        _ = rollout.end
    with pytest.raises(httpx.RemoteProtocolError, match="broke off"):
        next(parts)


def test_a_problem_in_a_stream_is_the_error_that_it_would_be_outside() -> None:
    problem = ProblemDetails(title="Gateway Timeout", status=504, detail="It was not done in time.")
    parts = iter(Rollout(streamed(("values", StreamedValues(values=[1.0])), ("error", problem))))
    next(parts)
    with pytest.raises(ServiceError, match="not done in time") as caught:
        next(parts)
    assert caught.value.problem == problem


def test_a_later_service_may_say_more_than_this_client_knows() -> None:
    part = '{"values":[1.0],"colour":"blue"}'
    assert next(iter(Rollout(streamed(("values", part), ("news", "{}"))))) == StreamedValues(values=[1.0])
