"""Tests of two replicas behind a proxy that retries: clients lose nothing if one is replaced, or killed.

The proxy is nginx with the project's configuration, which sends a request again whose replica gives no answer.
"""

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.test_proxy import CONFIG, running_nginx
from tests.reliability.conftest import SETTINGS
from tests.reliability.results import Result, Results
from tests.reliability.test_faults import Load, load_on
from tests.server import Server, free_port, serve
from tests.waiting import wait_for_async

pytestmark = pytest.mark.anyio

BODY = json.dumps({"sequence": [0.1, 0.2, 0.3], "steps": 10_000}).encode()
"""A rollout that takes long enough for a replica to always have some inside it."""

_CUT = re.compile(r"upstream prematurely closed connection|recv\(\) failed|Connection reset by peer")
"""nginx's words for a replica that has died with a request inside it."""


class Replica:
    """A server on a port of its own, which another server can take over."""

    def __init__(self, folder: Path, artifact: Path) -> None:
        self.port = free_port()
        self._folder, self._artifact = folder, artifact
        self._stack = ExitStack()
        self.server = self._started()

    def _started(self) -> Server:
        settings = SETTINGS | {"workers": 1, "drain_delay_s": 0.3, "access_log": False}
        serving = serve(self._folder, model=self._artifact, port=self.port, **settings)
        return self._stack.enter_context(serving)

    def stop(self) -> None:
        """Send SIGTERM, unless it has ended, and wait for the end."""
        self._stack.close()

    def replace(self) -> None:
        """End the server, and start another one in its place."""
        self.stop()
        self.server = self._started()


def configuration(folder: Path, port: int, replicas: list[Replica]) -> str:
    """Return the project's configuration of nginx with these replicas, and with the files in `folder`.

    nginx does not remember a failure, as in the project's configuration, where it asks the DNS for replicas.
    """
    servers = " ".join(f"server 127.0.0.1:{replica.port} max_fails=0;" for replica in replicas)
    text = CONFIG.read_text().replace(" /tmp/", f" {folder}/")
    for line, here in (
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("set $replicas replica:8000;", "set $replicas replicas;"),
        ("http {\n", f"http {{\n    upstream replicas {{ {servers} }}\n"),
    ):
        assert text.count(line) == 1, line
        text = text.replace(line, here)
    return text


@pytest.fixture
def replicas(tmp_path: Path, artifact: Path) -> Iterator[list[Replica]]:
    """Run two replicas."""
    folders = [tmp_path / name for name in ("a", "b")]
    with ExitStack() as stack:
        both = []
        for folder in folders:
            folder.mkdir()
            both.append(Replica(folder, artifact))
            stack.callback(both[-1].stop)
        yield both


@pytest.fixture
def proxy(tmp_path: Path, replicas: list[Replica]) -> Iterator[str]:
    """Run nginx in front of both replicas, and return its address."""
    folder, port = tmp_path / "nginx", free_port()
    folder.mkdir()
    url = f"http://127.0.0.1:{port}"
    with running_nginx(folder, configuration(folder, port, replicas), f"{url}/readyz"):
        yield url


def assert_nothing_was_lost(running: Load) -> int:
    """Assert that every request got the one right answer, and return their number."""
    assert running.lost == []
    assert running.refused == 0
    assert len(running.answers) == 1, running.answers
    (answer,) = running.answers
    assert answer.startswith(b"200 ")
    return running.answers.total()


async def test_replacing_both_replicas_one_after_the_other_loses_nothing(
    proxy: str, replicas: list[Replica], results: Results, full: bool
) -> None:
    rounds, began = 5 if full else 1, time.monotonic()
    async with load_on(proxy, BODY) as running:
        for replica in replicas * rounds:
            before, answered = replica.server.process.pid, running.answers.total()
            await asyncio.to_thread(replica.replace)
            assert replica.server.process.pid != before
            assert running.answers.total() > answered, "the other replica answered meanwhile"
    got = assert_nothing_was_lost(running)
    check, held = "rolling replacement of two replicas behind a proxy", got / (time.monotonic() - began)
    results.add(Result(check, 2 * rounds, got, got, wrong=0, lost=0, load=held))


async def test_killing_a_replica_behind_a_proxy_loses_nothing(
    proxy: str, replicas: list[Replica], results: Results, full: bool, tmp_path: Path
) -> None:
    kills, began = 10 if full else 2, time.monotonic()
    async with load_on(proxy, BODY) as running:
        for kill in range(kills):
            replica = replicas[kill % 2]
            replica.server.process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(replica.server.process.wait)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(replica.replace)
            # nginx tries a request once on each replica. Those that began before have to end before the next kill.
            enough = running.answers.total() + 50
            await wait_for_async("their answers", lambda: running.answers.total() >= enough)  # noqa: B023
    got = assert_nothing_was_lost(running)
    assert _CUT.search((tmp_path / "nginx" / "nginx.log").read_text()), "a killed replica had a request inside it"
    check, held = "kill -9 of one of two replicas behind a proxy", got / (time.monotonic() - began)
    results.add(Result(check, kills, got, got, wrong=0, lost=0, load=held))
