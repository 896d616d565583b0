"""Fixtures for tests over HTTP: clients of a module's servers, and a receiver of their traces."""

import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from model.network import Network
from tests.artifacts import make_small_artifact
from tests.integration.receiver import Receiver
from tests.server import Server, serve


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As the shared server, with one worker: whoever asks meets the same process. It starts as it does for a user."""
    with serve(tmp_path_factory.mktemp("alone"), "cold", workers=1) as running:
        yield running


@pytest.fixture(scope="session")
def explosive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server whose model turns an input of 1 into more than single precision can hold, but not one of 0.001."""

    def prepare(network: Network) -> None:
        for weight in network.parameters():
            weight.zero_()
        network.weights(0)[0].fill_(1.0)
        network.readout.weight.fill_(3e37)

    folder = tmp_path_factory.mktemp("explosive")
    with serve(
        folder, model=make_small_artifact(folder, hidden=32, prepare=prepare, golden=[[0.0]]), workers=1
    ) as running:
        yield running


@pytest.fixture(scope="module")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the shared server, or of the module's own."""
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
async def clients(servers: tuple[Server, ...]) -> AsyncIterator[tuple[httpx.AsyncClient, ...]]:
    """Return clients of the module's two `servers`: one with the hot path, and one without."""
    first, second = servers
    async with (
        httpx.AsyncClient(base_url=first.url, timeout=30) as hot,
        httpx.AsyncClient(base_url=second.url, timeout=30) as plain,
    ):
        yield hot, plain


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield receiver
        receiver.shutdown()
