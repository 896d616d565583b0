"""The two sizes of these checks, and the table at the end."""

from collections.abc import Iterator

import pytest

from benchmarks.report import save
from tests.artifacts import make_small_artifact
from tests.reliability.results import Results
from tests.server import Server, serve

RECEIVE_S = 1.0

_RESULTS = pytest.StashKey[Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = "the whole of it: hundreds of faults, a million requests (20 minutes, not 3)"
    parser.addoption("--full", action="store_true", help=help_)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RESULTS] = Results()


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Whether there are 20 minutes, and not 3, for all checks together."""
    return bool(pytestconfig.getoption("--full"))


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    """Where a check puts its row of the table."""
    return pytestconfig.stash[_RESULTS]


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker, which waits for a client no longer than `RECEIVE_S`: for the checks of slow and hostile clients."""
    folder = tmp_path_factory.mktemp("patient")
    with serve(folder, model=make_small_artifact(folder), workers=1, receive_timeout_s=RECEIVE_S) as server:
        yield server


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The table: printed, and written for `benchmarks/document.py` where it is the whole one."""
    results = session.config.stash[_RESULTS]
    if results.rows and session.config.getoption("--full"):
        save("reliability", {"checks": results.table()}, [vars(row) for row in results.rows])
    elif results.rows:
        print(f"\n\n{results.table()}")
