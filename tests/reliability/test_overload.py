"""Tests of overload: accepted requests stay fast, the rest is refused at once, and no work is left at its end.

Arrivals are open-loop, so a server that falls behind gets no relief. The load runs on the same processors, which other
programs may use too. A load is repeated only if answers come too late.
"""

import asyncio
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.artifacts import make_small_artifact
from tests.reliability.arrivals import Answer, Kind, poisson, quantile
from tests.reliability.load import Connections
from tests.reliability.results import Result, Results
from tests.server import Server, serve

pytestmark = pytest.mark.anyio

WAVE = [round(math.sin(2 * math.pi * t / 25), 4) for t in range(50)]
CONNECTIONS = 500
"""The number of connections that ask for nothing but predictions. They are open when the load begins."""

TRIES = 3
"""The number of tries of a load whose answers come too late. A stall of 30 ms, whatever the cause, is 1 % of 3 s."""

UNLOADED = 0.15
"""The fraction of the capacity that counts as unloaded."""

FACTOR = 5
"""The factor by which overload may raise an unloaded p99."""

TICK_S = 0.005
"""The time that a shared machine may add to any other: a process waits this long for its turn, in seconds."""


def kind(name: str, length: int, steps: int | None) -> Kind:
    body: dict[str, object] = {"sequence": (WAVE * (1 + length // len(WAVE)))[:length]}
    if steps is None:
        return Kind(name, "/predict", json.dumps(body).encode())
    return Kind(name, "/generate", json.dumps(body | {"steps": steps}).encode())


MIXED = [kind("small", 50, None), kind("small", 50, 10), kind("large", 50, 10_000)]
PREDICT = [kind("small", 70, None)]
"""Large requests of those that are answered on the event loop, also where the machine is slow when a server starts."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model whose large rollouts take 20 ms, so that the load needs no processor of its own."""
    return make_small_artifact(tmp_path_factory.mktemp("overload"), cell="gru", hidden=128)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("mixed"), model=artifact, workers=2) as server:
        yield server


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Server]:
    """Run a server for small requests that refuses early. Its one worker leaves the load a processor."""
    folder = tmp_path_factory.mktemp("quick")
    with serve(folder, model=artifact, workers=1, max_pending_s=0.002) as server:
        yield server


async def capacity(url: str, kinds: Sequence[Kind], seconds: float, clients: int = 4) -> float:
    """Return the answers a second in a closed loop. Refused requests are sent again, so that the mix stays the same."""
    answered, end = 0, time.monotonic() + seconds

    async def client(first: int) -> None:
        nonlocal answered
        connections, number = Connections(url), first
        while time.monotonic() < end:
            one = kinds[number % len(kinds)]
            while (await connections.post(one.path, one.body))[0] != 200:  # noqa: ASYNC110 - it is in another process
                await asyncio.sleep(0.01)
            answered += 1
            number += 1
        connections.close()

    await asyncio.gather(*(client(first) for first in range(clients)))
    return answered / seconds


class Outcome(NamedTuple):
    """The requests of one load, by their outcome."""

    accepted: dict[str, list[Answer]]
    refused: list[Answer]
    wrong: list[Answer]
    lost: list[Answer]


def outcome(answers: Sequence[Answer], right: dict[str, set[bytes]]) -> Outcome:
    """Sort the answers by outcome. `right` has the valid bodies of each kind."""
    accepted: dict[str, list[Answer]] = {name: [] for name in right}
    refused, wrong, lost = list[Answer](), list[Answer](), list[Answer]()
    for answer in answers:
        if answer.status == 200 and answer.body in right[answer.kind]:
            accepted[answer.kind].append(answer)
        elif answer.status == 503 and answer.retry_after:
            refused.append(answer)
        else:
            (wrong if answer.status else lost).append(answer)
    return Outcome(accepted, refused, wrong, lost)


async def test_overload_by_a_mix_of_small_and_large(server: Server, results: Results, full: bool) -> None:
    factors, seconds = ((1, 2, 4), 15.0) if full else ((4,), 3.0)
    await overload(server, MIXED, "a third of it large", results, factors, seconds)


async def test_overload_by_predictions(quick: Server, results: Results, full: bool) -> None:
    factors, seconds = ((1, 2, 4), 6.0) if full else ((4,), 2.0)
    await overload(quick, PREDICT, "/predict alone", results, factors, seconds, ahead=CONNECTIONS)


async def overload(
    server: Server,
    kinds: Sequence[Kind],
    what: str,
    results: Results,
    factors: Sequence[int],
    seconds: float,
    ahead: int = 0,
) -> None:
    """Load a server with these multiples of its capacity, and compare the times of its answers with those without load.

    This many connections are opened `ahead`, as a load balancer has them.
    """
    connections = Connections(server.url)
    right: dict[str, set[bytes]] = {one.name: set() for one in kinds}
    for one in kinds:
        right[one.name].add((await connections.post(one.path, one.body))[2])
    connections.close()

    def load(rate: float, seconds: float) -> Outcome:
        became = outcome(poisson(server.url, kinds, rate, seconds, seed=int(rate), ahead=ahead), right)
        assert not became.wrong
        assert not became.lost
        return became

    before: Outcome | None = None
    for times in factors:
        for _ in range(TRIES):
            most = await capacity(server.url, kinds, seconds / 3)
            before = before or load(UNLOADED * most, seconds)
            loaded = load(times * most, seconds)
            await asyncio.sleep(0.5)
            print(f"\n{times} x {most:.0f}/s, {len(loaded.refused)} refused", end="")
            if not (late := too_late(before, loaded, load(UNLOADED * most, 2))):
                break
            before = None
        assert not late
        accepted = sum(map(len, loaded.accepted.values()))
        sent = accepted + len(loaded.refused)
        row = f"{times} times capacity, {what}"
        results.add(Result(row, sent, sent, sent, wrong=0, lost=0, load=accepted / seconds))


def too_late(before: Outcome, loaded: Outcome, after: Outcome) -> list[str]:
    """Name the times under the load, or after it, that exceed the limits set by the times before it."""
    found = []
    for name, answers in before.accepted.items():
        p99, now, then = (quantile(of, 0.99) for of in (answers, loaded.accepted[name], after.accepted[name]))
        print(f"; {name}: p99 {1e3 * p99:.1f} ms, {1e3 * now:.1f} under load, {1e3 * then:.1f} after", end="")
        if now > FACTOR * p99 + TICK_S or quantile(after.accepted[name], 0.5) > 2 * p99:
            found.append(name)
    if loaded.refused:
        p99, now = quantile(before.accepted["small"], 0.99), quantile(loaded.refused, 0.99)
        print(f"; refused within {1e3 * now:.1f} ms", end="")
        if now > FACTOR * p99 + TICK_S:
            found.append("refusals")
    return found
