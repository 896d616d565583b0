"""Unit tests of the access log: the form of its lines, and the way it writes them."""

import json
import logging
import os
from datetime import datetime
from select import PIPE_BUF

import pytest

from app.settings import Settings
from app.telemetry.access_log import AccessLog, timestamp
from app.telemetry.context import RequestContext
from app.telemetry.logs import Json, access_log, with_request
from app.telemetry.metrics import Metrics

LONGEST_ID = b"x" * 128
TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"


ROUTE = Metrics(["/predict"]).routes["/predict"]


def request() -> RequestContext:
    async def send(_: object) -> None:
        pass

    headers = [(b"x-request-id", LONGEST_ID), (b"traceparent", b"00-%b-00f067aa0ba902b7-01" % TRACE)]
    context = RequestContext(ROUTE, headers, send)
    context.status, context.work, context.duration_s = 200, 51, 0.000123
    return context


def never(flush: object) -> None:
    """Leaves the flushing to the test."""


def test_no_piece_is_larger_than_what_a_pipe_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []
    reading, writing = os.pipe()
    log = AccessLog("json", writing, never)
    monkeypatch.setattr(os, "write", lambda _, piece: pieces.append(piece))
    for _ in range(10):
        log.add([request() for _ in range(10)])
    assert pieces == []
    log.flush()
    os.close(reading)
    os.close(writing)
    assert len(pieces) > 1
    assert all(len(piece) <= PIPE_BUF and piece.endswith(b"\n") for piece in pieces)
    lines = [json.loads(line) for line in b"".join(pieces).splitlines()]
    assert [line["request_id"] for line in lines] == [LONGEST_ID.decode()] * 100


def test_a_log_that_cannot_be_written_fails_nothing() -> None:
    reading, writing = os.pipe()
    log = AccessLog("text", writing, never)
    os.close(reading)
    log.add([request()])
    log.flush()  # nobody reads the pipe
    os.close(writing)
    log.add([request()])
    log.flush()  # the pipe has no reader left


def test_an_access_line_has_the_form_of_all_others() -> None:
    reading, writing = os.pipe()
    log = AccessLog("json", writing, never)
    log.add([request()])
    log.flush()
    line = json.loads(os.read(reading, PIPE_BUF))
    os.close(reading)
    os.close(writing)
    record = logging.LogRecord("app.access", logging.INFO, "", 0, "request", (), None)
    assert with_request(record)
    other = json.loads(Json().format(record))
    assert list(other)[:4] == list(line)[:4] == ["time", "level", "logger", "message"]
    assert len(other.pop("time")) == len(line["time"])
    assert other == {name: line[name] for name in other}
    assert {"request_id", "trace_id"} <= other.keys()


@pytest.mark.parametrize("time_s", [0.0, 1e9, 1e9 + 0.001, 1e9 + 0.9999, 1_700_000_000.5])
def test_times_are_those_of_iso_8601(time_s: float) -> None:
    assert timestamp(time_s).endswith("Z")
    assert 0 <= time_s - datetime.fromisoformat(timestamp(time_s)).timestamp() < 0.0011


@pytest.mark.parametrize(("level", "logged"), [("debug", True), ("info", True), ("warning", False), ("error", False)])
def test_requests_are_logged_at_info_unless_that_is_off(level: str, logged: bool) -> None:
    assert (access_log(Settings.model_validate({"log_level": level})) is not None) == logged
    assert access_log(Settings.model_validate({"log_level": level, "access_log": False})) is None
