"""Tests of reloads under load: no request is lost, each answer matches the version it names, and nothing leaks."""

import asyncio
import json
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from model.artifact import digest_path
from tests.artifacts import make_small_artifact
from tests.integration.test_workers import workers_of
from tests.keys import AS_ADMIN, admin_keys
from tests.reliability.load import Connections
from tests.reliability.results import Result, Results
from tests.server import Server, serve
from tests.waiting import wait_for_async

pytestmark = pytest.mark.anyio

WORKERS = 2
SEQUENCE = [0.1, 0.25, 0.2]
# The first is computed at once on the event loop. The second takes many turns on the model's thread. The third is a
# batch of the other protocol.
REQUESTS: dict[str, dict[str, object]] = {
    "/predict": {"sequence": SEQUENCE, "return_state": True},
    "/generate": {"sequence": SEQUENCE, "steps": 10_000},
    "/v2/models/small/infer": {
        "inputs": [{"name": "sequence", "shape": [2, 3], "datatype": "FP64", "data": SEQUENCE * 2}],
        "parameters": {"steps": 20},
    },
}
BODIES = {path: json.dumps(request).encode() for path, request in REQUESTS.items()}

Answers = dict[tuple[str, str], bytes]
"""Bodies of answers by path and version."""


def make_versions(folder: Path) -> list[Path]:
    """Make two artifacts of one name and shape that answer differently."""
    first = make_small_artifact(folder / "1", version="1")
    second = make_small_artifact(folder / "2", version="2", prepare=lambda network: network.readout.weight.mul_(1.5))
    return [first, second]


def put(artifact: Path, place: Path) -> None:
    """Put an artifact in the place of the served one."""
    for source, target in ((artifact, place), (digest_path(artifact), digest_path(place))):
        shutil.copy(source, target.with_name("new"))
        target.with_name("new").replace(target)


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    for version in ("1", "2", "served"):
        (tmp_path / version).mkdir()
    return make_versions(tmp_path)


@pytest.fixture
def place(tmp_path: Path, versions: list[Path]) -> Path:
    """Return the path of the served artifact, at first version 1."""
    put(versions[0], tmp_path / "served" / "small.pt")
    return tmp_path / "served" / "small.pt"


@pytest.fixture
async def server(tmp_path: Path, place: Path) -> AsyncIterator[Server]:
    keys = admin_keys(tmp_path)
    with serve(tmp_path, model=place, workers=WORKERS, admin_keys=keys, max_pending_s=60, access_log=False) as server:
        await wait_for_async("all workers", lambda: said(server, "Application startup complete") == WORKERS)
        yield server


def said(server: Server, what: str) -> int:
    """Count how often the log says something."""
    return server.log.read_text().count(what)


async def reload(server: Server, artifact: Path, place: Path, tell: Callable[[Server], Awaitable[None]]) -> None:
    """Make all workers serve an artifact that they do not serve yet."""
    before = said(server, "Serving small")
    put(artifact, place)
    await tell(server)
    await wait_for_async("all workers to serve it", lambda: said(server, "Serving small") == before + WORKERS)


async def by_signal(server: Server) -> None:
    server.process.send_signal(signal.SIGHUP)


async def by_request(server: Server) -> None:
    async with httpx.AsyncClient(timeout=30, headers=AS_ADMIN) as client:
        answer = await client.post(f"{server.url}/admin/reload")
        assert answer.status_code == 200, answer.text


async def answers_of(server: Server) -> Answers:
    """Return the answers of the served version, on a server without load."""
    connections = Connections(server.url)
    answers: Answers = {}
    for path, body in BODIES.items():
        status, headers, content = await connections.post(path, body)
        assert status == 200, content
        answers[path, headers[b"x-model-version"].decode()] = content
    connections.close()
    return answers


class Load:
    """Clients that each send one request after another."""

    def __init__(self, server: Server, right: Answers) -> None:
        self._server = server
        self._right = right
        self._ended = False
        self.answered = self.lost = 0
        self.versions: set[str] = set()
        self.wrong: list[str] = []

    async def client(self, path: str) -> None:
        connections = Connections(self._server.url)
        while not self._ended:
            try:
                async with asyncio.timeout(30):
                    status, headers, content = await connections.post(path, BODIES[path])
            except (OSError, EOFError, TimeoutError):
                self.lost += 1
                continue
            self.answered += 1
            version = headers.get(b"x-model-version", b"").decode()
            self.versions.add(version)
            if status != 200 or self._right.get((path, version)) != content:
                self.wrong.append(f"{path} {version} {status} {content[:200]!r}")
            await asyncio.sleep(0.002)
        connections.close()

    def stop(self) -> None:
        self._ended = True


@asynccontextmanager
async def load(server: Server, right: Answers, clients_of_each: int = 2) -> AsyncIterator[Load]:
    running = Load(server, right)
    async with asyncio.TaskGroup() as group:
        for path in [*BODIES] * clients_of_each:
            group.create_task(running.client(path))
        try:
            yield running
        finally:
            running.stop()


class Begun:
    """A stream and a connection that begin before a reload and end after it."""

    def __init__(self, server: Server) -> None:
        self._client = httpx.AsyncClient(base_url=server.url, timeout=30)
        self._live = connect(server.url.replace("http", "ws") + "/live", compression=None)

    async def __aenter__(self) -> "Begun":
        self._socket: ClientConnection = await self._live.__aenter__()
        assert self._socket.response is not None
        self._version = self._socket.response.headers["x-model-version"]
        await self._socket.send(json.dumps(SEQUENCE[0]))
        await self._socket.recv()
        request = self._client.build_request("POST", "/generate/stream", json=REQUESTS["/generate"])
        self._stream = await self._client.send(request, stream=True)
        return self

    async def end(self, right: Answers) -> list[str]:
        """End both, and return the errors in their answers."""
        found = []
        for value in SEQUENCE[1:]:
            await self._socket.send(json.dumps(value))
            last = json.loads(await self._socket.recv())
        if last["prediction"] != json.loads(right["/predict", self._version])["prediction"]:
            found.append(f"/live {self._version} {last}")
        values: list[float] = []
        async for line in self._stream.aiter_lines():
            if line.startswith("data: "):
                values += json.loads(line.removeprefix("data: ")).get("values", [])
        version = self._stream.headers["x-model-version"]
        if values != json.loads(right["/generate", version])["values"]:
            found.append(f"/generate/stream {version} {len(values)} values")
        return found

    async def __aexit__(self, *_: object) -> None:
        await self._live.__aexit__(None, None, None)
        await self._client.aclose()


def left_behind(server: Server) -> dict[str, int]:
    """Return the bytes, threads and descriptors of all workers."""
    folders = [Path(f"/proc/{pid}") for pid in workers_of(server)]
    return {
        "bytes": sum(4096 * int((folder / "statm").read_text().split()[1]) for folder in folders),
        "threads": sum(len(list((folder / "task").iterdir())) for folder in folders),
        "descriptors": sum(len(list((folder / "fd").iterdir())) for folder in folders),
    }


async def test_reloads_under_load_lose_nothing_and_leave_nothing(
    server: Server, versions: list[Path], place: Path, full: bool, results: Results
) -> None:
    right = await answers_of(server)
    await reload(server, versions[1], place, by_signal)
    right |= await answers_of(server)
    assert len(right) == 2 * len(BODIES)
    workers, wrong = workers_of(server), list[str]()
    assert len(workers) == WORKERS

    async def reloads(count: int) -> Load:
        async with load(server, right) as running:
            for number in range(count):
                async with Begun(server) as begun:
                    tell = by_request if number % 4 == 0 else by_signal
                    await reload(server, versions[number % 2], place, tell)
                    wrong.extend(await begun.end(right))
        assert running.wrong + wrong == []
        assert running.lost == 0
        assert len(running.versions) == 2
        return running

    await reloads(10 if full else 2)
    before, began, count = left_behind(server), time.monotonic(), 100 if full else 6
    held = await reloads(count)
    took = time.monotonic() - began
    assert workers_of(server) == workers, "no worker was replaced"
    # Two threads start at their first use: the model's, and the one that loads. A leak would be one thread a reload.
    spare = {"threads": 2 * WORKERS, "descriptors": 0}
    for what, more in spare.items():
        await wait_for_async(f"no more {what} than before", lambda: left_behind(server)[what] <= before[what] + more)  # noqa: B023
    grown = left_behind(server)["bytes"] / before["bytes"] - 1
    assert grown < 0.02
    sent = held.answered + 2 * count  # streams and connections
    results.add(Result("reloads", count, sent, sent, wrong=0, lost=0, load=sent / took, growth=grown))


async def test_a_bad_artifact_changes_nothing_and_the_log_says_why(
    server: Server, versions: list[Path], place: Path, tmp_path: Path, results: Results
) -> None:
    good = versions[1].read_bytes()

    def truncated() -> None:
        place.write_bytes(good[:-100])

    def of_another_digest() -> None:
        place.write_bytes(good)

    def without_a_digest() -> None:
        digest_path(place).unlink()

    def wrong_in_its_own_terms() -> None:
        put(make_small_artifact(tmp_path, spoil=lambda network: network.readout.weight.mul_(1.01)), place)

    def no_artifact() -> None:
        place.unlink()

    bad = {
        truncated: "the file is truncated",
        of_another_digest: "not the one whose sha256 was recorded",
        without_a_digest: "cannot be read",
        wrong_in_its_own_terms: "does not reproduce golden rollout",
        no_artifact: "cannot be read",
    }
    right, workers = await answers_of(server), workers_of(server)
    assert len(workers) == WORKERS
    async with load(server, right, 1) as running, httpx.AsyncClient(base_url=server.url, headers=AS_ADMIN) as client:
        for spoil, why in bad.items():
            spoil()
            before = said(server, "Not reloaded")
            server.process.send_signal(signal.SIGHUP)
            await wait_for_async("all workers to refuse", lambda: said(server, "Not reloaded") == before + WORKERS)  # noqa: B023
            assert why in server.log.read_text().splitlines()[-1]
            refused = await client.post("/admin/reload")
            assert refused.status_code == 409
            assert refused.headers["content-type"] == "application/problem+json"
            assert why in refused.json()["detail"]
            put(versions[0], place)
        server.process.send_signal(signal.SIGHUP)
        await wait_for_async("nothing to be done", lambda: said(server, "Nothing to reload") == WORKERS)
    assert workers_of(server) == workers
    assert (running.wrong, running.lost, len(running.versions)) == ([], 0, 1)
    results.add(Result("bad artifacts", len(bad), running.answered, running.answered, wrong=0, lost=0))
