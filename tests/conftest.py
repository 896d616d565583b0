"""What tests of every tier share: artifacts of random weights, and real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.artifacts import MakeArtifact, make_small_artifact
from tests.server import Server, serve

# For `make reliability`: tests whose number of examples is a multiple of the profile's then run that much longer.
settings.register_profile("long", max_examples=400)


@pytest.fixture(scope="session", autouse=True)
def _no_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing here speaks TLS. Without a folder of certificates to read, a client costs a millisecond, not thirty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("certificates")))
        yield


@pytest.fixture
def make_artifact(tmp_path: Path) -> MakeArtifact:
    """Makes small artifacts in a folder of the test's own; see `make_small_artifact` for what can be chosen."""
    return lambda **choices: make_small_artifact(tmp_path, **choices)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`python -m app` with the shipped model and all defaults, shared by the tests that only talk to it."""
    with serve(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Uvicorn runs on asyncio, so its tests do."""
    return "asyncio"
