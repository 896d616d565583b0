"""Tests of several workers as one service: metrics are sums, and a dead worker is replaced and reported."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.artifacts import MakeArtifact, make_small_artifact
from tests.integration.wire import answers, connected, post
from tests.metrics import metric
from tests.server import Server, fails_to_start, needs_edge, serve
from tests.waiting import wait_for


def workers_of(server: Server) -> list[int]:
    """Return the processes that listen, in the order of their starts."""
    return children(forking(server))


def forking(server: Server) -> int:
    """Return the process that all workers are forked from."""
    of_supervisor = children(server.process.pid)
    return next(pid for pid in of_supervisor if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes())


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("workers")
    with serve(folder, model=make_small_artifact(folder), workers=3) as server:
        wait_for("three workers", lambda: metric(server.url, "sine_workers") == 3)
        yield server


def test_the_address_is_the_last_line_of_a_start_after_all_workers_are_ready(server: Server) -> None:
    lines = [*map(json.loads, server.log.read_text().splitlines())]
    messages = [line["message"] for line in lines]
    end = messages.index(f"The service is ready and running on {server.url}/")
    assert sum(message.startswith("Serving small") for message in messages[:end]) == 3
    assert {line["logger"] for line in lines[end + 1 :]} <= {"app.access"}


def test_metrics_are_the_sum_over_all_workers(server: Server) -> None:
    answered_by_all = 60
    for _ in range(answered_by_all):
        assert httpx.post(f"{server.url}/predict", json={"sequence": [1, 2, 3]}).status_code == 200
    answered = partial(metric, server.url, "sine_requests_total", route="/predict", status="200")
    wait_for("the last one to be counted, after its answer", lambda: answered() == answered_by_all)
    for _ in range(10):  # each worker gives the same number
        assert answered() == answered_by_all
    assert metric(server.url, "sine_steps_total") == answered_by_all * 4


@pytest.mark.parametrize("name", ["SIGQUIT", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2"])
def test_a_signal_without_a_meaning_changes_nothing(server: Server, name: str) -> None:
    before = workers_of(server)
    os.kill(server.process.pid, signal.Signals[name])
    time.sleep(0.7)  # longer than the supervisor takes between two looks at its workers
    assert server.process.poll() is None
    assert workers_of(server) == before
    assert httpx.get(f"{server.url}/readyz").status_code == 200


@needs_edge
def test_connections_are_counted_over_all_workers_whatever_they_are(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(connected(server))
        for _ in range(3):
            stack.enter_context(connect(server.url.replace("http", "ws") + "/live"))
        wait_for("them, and the one that asks", lambda: metric(server.url, "sine_connections") == 34)
    wait_for("their end", lambda: metric(server.url, "sine_connections") == 1)


def test_a_worker_that_dies_is_replaced_and_its_loss_is_visible(server: Server) -> None:
    answered = partial(metric, server.url, "sine_requests_total", route="/predict", status="200")
    counted = answered() + 1
    httpx.post(f"{server.url}/predict", json={"sequence": [1, 2, 3]})
    wait_for("the request to be counted, after its answer", lambda: answered() == counted)
    before = workers_of(server)
    assert len(before) == 3
    os.kill(before[0], signal.SIGKILL)
    wait_for("the replacement", lambda: len(set(workers_of(server)) - set(before)) == 1)
    wait_for("it to serve", lambda: metric(server.url, "sine_workers_started_total") == 4)
    wait_for("three workers again", lambda: metric(server.url, "sine_workers") == 3)
    assert answered() == counted  # the counts of the dead worker stay
    assert httpx.post(f"{server.url}/predict", json={"sequence": [1, 2, 3]}).status_code == 200


@needs_edge
def test_processes_that_are_stopped_at_once_finish_and_the_supervisor_ends_last(
    tmp_path: Path, make_artifact: MakeArtifact
) -> None:
    request = post(b'{"sequence": [1], "steps": 3}')
    with serve(tmp_path, model=make_artifact(), workers=2) as server, connected(server) as client:
        client.sendall(request[:-1])
        wait_for("it to be accepted", lambda: metric(server.url, "sine_connections") == 2)
        time.sleep(0.1)  # the worker reads the request
        for pid in (server.process.pid, *children(server.process.pid), *workers_of(server)):
            os.kill(pid, signal.SIGTERM)
        time.sleep(1)
        assert server.process.poll() is None
        client.sendall(request[-1:])
        assert answers(client, 1)[0][0] == 200
        assert server.process.wait(30) == 0


def test_a_model_that_cannot_be_served_ends_the_service_with_all_its_workers(
    tmp_path: Path, make_artifact: MakeArtifact
) -> None:
    path = make_artifact()
    path.write_bytes(b"nothing")
    status, log = fails_to_start(tmp_path, model=path, workers=2)
    assert status == 3
    (line,) = map(json.loads, log.splitlines())
    assert line["message"].startswith("The service cannot start: ")
    assert "not a TorchScript file" in line["message"]
