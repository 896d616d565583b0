"""What a server may lack as it runs: descriptors, memory, a disk for its log, a folder to write to, a steady clock."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.shared_memory.folders import METRICS_FOLDER
from tests.integration.test_workers import workers_of
from tests.metrics import metric
from tests.reliability.processes import cpu_s, descriptors, limited, size_bytes, variable
from tests.reliability.results import Result, Results
from tests.server import ROOT, Server, free_port
from tests.waiting import wait_for

REQUEST: dict[str, object] = {"sequence": [0.1, 0.2, 0.3], "steps": 20}
LONG = {"sequence": [0.1, 0.2, 0.3], "steps": 300_000}


@pytest.fixture
def server(enduring: Server) -> Server:
    """With both of its workers."""
    wait_for("two workers", lambda: metric(enduring.url, "sine_workers_ready") == 2)
    return enduring


def ask(server: Server, request: dict[str, object] = REQUEST) -> httpx.Response:
    """On a connection of its own, so that any of the workers may get it."""
    return httpx.post(f"{server.url}/generate", json=request, timeout=60)


def ask_often(server: Server, times: int) -> int:
    """Ask so often, and say how many answers were right: all of them."""
    answers = Counter(ask(server).text for _ in range(times))
    assert len(answers) == 1
    assert len(json.loads(next(iter(answers)))["values"]) == 20
    return times


def open_connections(server: Server, number: int) -> list[socket.socket]:
    return [socket.create_connection(server.address, timeout=10) for _ in range(number)]


def test_more_connections_than_descriptors_neither_end_it_nor_keep_it_busy(
    server: Server, results: Results, full: bool
) -> None:
    workers, rounds, asked = workers_of(server), 5 if full else 1, 0
    for _ in range(rounds):
        with httpx.Client(base_url=server.url) as early, contextlib.ExitStack() as stack:
            early.get("/readyz")
            for worker in workers:
                stack.enter_context(limited(worker, resource.RLIMIT_NOFILE, descriptors(worker)[-1] + 10))
            clients = open_connections(server, 200)
            assert len(workers) == 2
            busy = {worker: cpu_s(worker) for worker in workers}
            time.sleep(2)
            assert all(cpu_s(worker) - busy[worker] < 1 for worker in workers)
            for _ in range(20):  # who was there first is served
                assert early.post("/generate", json=REQUEST).status_code == 200
            assert early.get("/metrics").status_code in (200, 503)  # it opens files
            for client in clients:
                client.close()
        asked += 20 + ask_often(server, 20)
    assert workers_of(server) == workers
    results.add(Result("200 connections on 20 descriptors", rounds, asked, asked, wrong=0, lost=0))


def test_a_worker_without_memory_refuses_or_is_replaced_and_the_others_go_on(
    server: Server, results: Results, full: bool
) -> None:
    rounds, outcomes = 5 if full else 1, Counter[int]()
    for number in range(rounds):
        poor = workers_of(server)[number % 2]
        with limited(poor, resource.RLIMIT_AS, size_bytes(poor)):
            for _ in range(20):
                for request in (LONG, REQUEST):
                    try:
                        outcomes[ask(server, request).status_code] += 1
                    except httpx.TransportError:
                        outcomes[0] += 1  # it has died with it
        wait_for("two workers", lambda: metric(server.url, "sine_workers_ready") == 2)
        ask_often(server, 20)
    assert {*outcomes} <= {200, 503, 0}
    assert outcomes[0] <= rounds
    assert outcomes[200] >= rounds * 20
    check = f"a worker without memory: {outcomes[503]} refused, {outcomes[0]} died with it"
    sent = outcomes.total() + rounds * 20
    results.add(Result(check, rounds, sent, sent, wrong=0, lost=0))


def test_a_clock_that_is_set_changes_nothing_but_the_times_in_the_log(
    server: Server, clock: Path, results: Results, full: bool
) -> None:
    steps = (86_400, -86_400, 3e8, -1e9, 0) if full else (-1e9, 0)
    asked = 0
    with httpx.Client(base_url=server.url, timeout=60) as kept:
        assert kept.post("/generate", json=REQUEST).status_code == 200
        for seconds in steps:
            with kept.stream("POST", "/generate/stream", json=LONG) as stream:
                lines = stream.iter_lines()
                next(lines)
                os.utime(clock, (seconds, seconds))
                assert [line for line in lines if line.startswith("event:")][-1] == "event: done"
            assert kept.post("/generate", json=REQUEST | {"timeout_s": 20}).status_code == 200
            asked += 2 + ask_often(server, 5)
            time.sleep(1.2)  # each connection is looked at once a second
            assert kept.get("/readyz").status_code == 200
    years = {int(line[9:13]) for line in server.log.read_text().splitlines() if line.startswith('{"time":"')}
    assert len(years) > 1, "the clock was set"
    results.add(Result("a clock that is set, by up to 30 years", len(steps), asked, asked, wrong=0, lost=0))


@contextlib.contextmanager
def read_only(folder: str) -> Iterator[None]:
    """In the block, nothing can be written there; what is open already stays as it is."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount() -> bool:
    """Whether this process may change what is mounted."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


def test_a_worker_starts_where_its_metrics_cannot_be_written(server: Server, results: Results) -> None:
    if not can_mount():
        pytest.skip("a file system can be made read-only by root alone")
    before, starts = workers_of(server), server.log.read_text().count("startup complete")
    with read_only(variable(before[0], METRICS_FOLDER)):
        asked = ask_often(server, 20)
        os.kill(before[0], signal.SIGKILL)
        said = "The metrics of this worker are not shared: Read-only file system"
        wait_for("a new worker that says so", lambda: said in server.log.read_text())
        wait_for("it to serve", lambda: server.log.read_text().count("startup complete") > starts)
        asked += ask_often(server, 20)
        assert httpx.get(f"{server.url}/metrics", timeout=60).status_code == 200
    alone = ({*workers_of(server)} - {*before}).pop()
    os.kill(alone, signal.SIGKILL)  # the next one shares its numbers again
    wait_for("two workers", lambda: metric(server.url, "sine_workers_ready") == 2)
    asked += ask_often(server, 20)
    results.add(Result("a file system that turns read-only, then kill -9", 1, asked, asked, wrong=0, lost=0))


def test_a_worker_that_cannot_be_replaced_leaves_the_others_serving(
    server: Server, artifact: Path, results: Results, full: bool
) -> None:
    if not full:
        pytest.skip("a worker is tried again after 10 s, which is too long for the short form")
    good = artifact.read_bytes()
    artifact.write_bytes(good[:-100])
    try:
        os.kill(workers_of(server)[0], signal.SIGKILL)
        wait_for("the failure to be seen", lambda: "could not start, and is tried again" in server.log.read_text())
        asked = ask_often(server, 40)
        assert httpx.get(f"{server.url}/readyz", timeout=60).status_code == 200
    finally:
        artifact.write_bytes(good)
    if full:  # it takes 10 s
        wait_for("two workers again", lambda: metric(server.url, "sine_workers_ready") == 2)
        asked += ask_often(server, 20)
    results.add(Result("kill -9 of a worker whose artifact has gone bad", 1, asked, asked, wrong=0, lost=0))


def test_a_log_that_cannot_be_written_fails_no_request(tmp_path: Path, artifact: Path, results: Results) -> None:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SINE_")}
    environment |= {"SINE_PORT": str(port), "SINE_WORKERS": "1", "SINE_MODEL": str(artifact)}
    environment.pop("PYTHONUNBUFFERED", None)  # with it, Python keeps nothing to write at its exit
    with Path("/dev/full").open("wb") as full_disk:
        process = subprocess.Popen(
            [sys.executable, "-m", "app"], env=environment, cwd=ROOT, stdout=full_disk, stderr=full_disk
        )
    server = Server(f"http://127.0.0.1:{port}", process, tmp_path / "none", 0.0)
    try:

        def is_ready() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{server.url}/readyz", timeout=60).status_code == 200
            return False

        wait_for("the server", is_ready)
        asked = ask_often(server, 100)
        refused = httpx.post(f"{server.url}/generate", content=b"{", headers={"content-type": "application/json"})
        assert refused.status_code == 422
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    results.add(Result("a full disk for the log", 1, asked + 1, asked + 1, wrong=0, lost=0))
