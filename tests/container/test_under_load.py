"""Tests of containers under load: clients lose nothing if one is stopped, killed or short of memory or processes."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect

from sine_client import Client
from tests.container.engine import Compose, Container, docker
from tests.container.nginx_image import provide
from tests.reliability.test_faults import Load, load_on
from tests.waiting import wait_for_async

pytestmark = pytest.mark.anyio

_WORKERS = """
import json, pathlib, re
lines = {int(path.parent.name): path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")}
forked = [p for p, line in lines.items() if b"multiprocessing.forkserver" in line]  # and that which they come from
parents = {p: int(re.search(r"PPid:\\s(\\d+)", pathlib.Path(f"/proc/{p}/status").read_text())[1]) for p in forked}
print(json.dumps([p for p, parent in parents.items() if parent in forked]))
"""

_TAKE_ALL_PROCESSES = """
import json, subprocess, time
children = []
try:
    while len(children) < 1000:
        children.append(subprocess.Popen(["sleep", "4"]))
except BlockingIOError:
    time.sleep(3)
print(json.dumps(len(children)))
"""

# The program stops when the system's own count shows the first killed process. A victim may stay visible for longer,
# after its memory is free to take. The program would then take more, and would be killed itself.
_TAKE_ALL_MEMORY = """
import json, pathlib, re
pathlib.Path("/proc/{victim}/oom_score_adj").write_text("1000")  # whom the system kills first
places = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"]  # cgroup v2, and v1
counts = next(path for path in map(pathlib.Path, places) if path.exists())
killed = lambda: int(re.search(r"^oom_kill (\\d+)", counts.read_text(), re.MULTILINE)[1])
before, taken = killed(), []
while killed() == before and len(taken) < 4000:
    taken.append(b"1" * 1_000_000)
print(json.dumps(len(taken)))
"""


@pytest.fixture(scope="module")
def container(compose: Compose) -> Iterator[Container]:
    """Run the service of `docker compose up` until it is healthy."""
    try:
        compose("up", "--detach", "--build", "serve")
        identifier = compose("ps", "--quiet", "serve").strip()
        running = Container(compose, "serve", identifier, f"http://127.0.0.1:{compose.environment['SINE_PORT']}")
        running.wait_until_healthy()
        yield running
    finally:
        compose("rm", "--stop", "--force", "serve")


@pytest.fixture
def replicas(compose: Compose) -> Iterator[list[Container]]:
    """Run two replicas behind the proxy. Their `url` is the proxy's address."""
    provide()
    url = f"http://127.0.0.1:{compose.environment['SINE_PROXY_PORT']}"
    # One worker each is enough to show what happens to a replica.
    compose = replace(compose, environment=compose.environment | {"SINE_WORKERS": "1"})
    try:
        compose("up", "--detach", "--build", "proxy")
        identifiers = compose("ps", "--quiet", "replica").split()
        both = [Container(compose, "replica", identifier, url) for identifier in identifiers]
        for replica in both:
            replica.wait_until_healthy()
        yield both
    finally:
        compose("rm", "--stop", "--force", "proxy", "replica")


def assert_nothing_is_wrong(running: Load) -> None:
    assert len(running.answers) == 1, running.answers.keys()
    (answer,) = running.answers
    assert answer.startswith(b"200 ")
    assert sum(running.answers.values()) > 100


async def test_a_container_without_processes_or_memory_to_spare_goes_on(container: Container) -> None:
    container.wait_until_healthy()
    before = container.run(_WORKERS)
    async with load_on(container.address()) as running:
        started = await asyncio.to_thread(container.run, _TAKE_ALL_PROCESSES)
        assert 10 < started < 256
        assert running.lost == []
        taken = await asyncio.to_thread(container.run, _TAKE_ALL_MEMORY.replace("{victim}", str(before[0])))
        assert 10 < taken < 1100
        await asyncio.to_thread(container.wait_until_healthy)
        await wait_for_async("a new worker", lambda: len({*container.run(_WORKERS)} - {before[0]}) == 2)
        await asyncio.sleep(1)
    assert len(running.lost) <= 8, "more requests were lost than the worker held"
    assert_nothing_is_wrong(running)
    state = container.inspect()
    assert (state["State"]["Status"], state["RestartCount"]) == ("running", 0)


async def test_stopping_loses_no_request(container: Container) -> None:
    container.wait_until_healthy()
    try:
        async with load_on(container.address()) as running:
            await asyncio.to_thread(container.compose, "stop", "serve")
            running.stop()
        assert container.inspect()["State"]["ExitCode"] == 0
    finally:  # the other tests need a running container
        container.compose("start", "serve")
    assert running.lost == []
    assert running.refused > 0
    assert_nothing_is_wrong(running)


async def test_a_replica_that_is_killed_or_stopped_costs_clients_nothing(replicas: list[Container]) -> None:
    first, second = replicas
    async with load_on(first.url) as running:
        await asyncio.to_thread(docker, "kill", first.id)
        await asyncio.sleep(2)
        await asyncio.to_thread(docker, "start", first.id)
        await asyncio.to_thread(first.wait_until_healthy)
        await asyncio.sleep(2)  # the proxy looks up names every second
        await asyncio.to_thread(docker, "stop", second.id)
        await asyncio.sleep(1)
    assert running.lost == []
    assert running.refused == 0
    assert_nothing_is_wrong(running)

    sequence = np.sin(np.arange(64) / 4).tolist()
    with Client(first.url) as client:
        expected = client.generate(sequence, 500).values
        with client.stream(sequence, 500) as rollout:
            assert [value for part in rollout for value in part.values] == expected
        prediction = client.predict(sequence).prediction
    async with connect(f"{first.url.replace('http', 'ws')}/live") as live:
        await live.send(json.dumps({"sequence": sequence}))
        assert json.loads(await live.recv())["prediction"] == prediction
    async with httpx.AsyncClient(base_url=first.url, timeout=30) as http:
        assert (await http.get("/metrics")).status_code == 404
        docker("kill", first.id)
        nobody = await http.get("/readyz")
    assert (nobody.status_code, nobody.headers["retry-after"]) == (503, "1")
    assert nobody.headers["content-type"] == "application/problem+json"
    assert nobody.json()["detail"] == "No replica answers."
