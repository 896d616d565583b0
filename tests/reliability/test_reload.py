"""Reloads under load: nothing is lost, nothing is wrong, nothing is left behind."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts import make_small_artifact
from tests.integration.test_workers import workers_of
from tests.reliability.test_faults import load, until
from tests.server import Server, serve

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(tmp_path, model=make_small_artifact(tmp_path), workers=2) as server:
        yield server


async def test_reloads_lose_nothing_and_leave_nothing(server: Server) -> None:
    async with load(server) as running:
        for _ in range(2):
            before = {*workers_of(server)}
            server.process.send_signal(signal.SIGHUP)
            await until("two new workers", lambda: not before & {*workers_of(server)}, 120)  # noqa: B023
        await until("the old ones end", lambda: len(workers_of(server)) == 2)
    assert running.lost == []
    assert len(running.answers) == 1


async def test_a_bad_artifact_changes_nothing_and_the_log_says_why(server: Server, tmp_path: Path) -> None:
    before = {*workers_of(server)}
    artifact = tmp_path / "small.pt"
    good = artifact.read_bytes()
    artifact.write_bytes(good[:-100])
    async with load(server) as running:
        server.process.send_signal(signal.SIGHUP)
        await until("the refusal", lambda: "aborting the restart" in server.log.read_text(), 60)
        await asyncio.sleep(0.5)
    assert {*workers_of(server)} == before
    assert running.lost == []
    assert "digest" in server.log.read_text()
