"""Fixtures for the tests of every tier: artifacts with random weights, and real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from tests.artifacts import MakeArtifact, make_small_artifact
from tests.server import Server, serve

torch.set_num_threads(1)  # as in the service: the other processors are for servers and other tests

# `make reliability` uses this profile. Tests that multiply the profile's number of examples then run longer.
settings.register_profile("long", max_examples=400)


@pytest.fixture(scope="session", autouse=True)
def _no_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give clients an empty folder of certificates: one starts in a millisecond then, not thirty. No test uses TLS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("certificates")))
        yield


@pytest.fixture
def make_artifact(tmp_path: Path) -> MakeArtifact:
    """Return a function that makes small artifacts in a folder of the test's own; see `make_small_artifact`."""
    return lambda **choices: make_small_artifact(tmp_path, **choices)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run `python -m app` with the shipped model and all defaults. Tests that only talk to it share this server."""
    with serve(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as Uvicorn does."""
    return "asyncio"
