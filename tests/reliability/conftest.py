"""Fixtures for the reliability checks, which have two sizes and print a table at the end."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.report import save
from tests.artifacts import make_small_artifact
from tests.reliability.clients import RECEIVE_S
from tests.reliability.results import Results
from tests.server import Server, serve

_RESULTS = pytest.StashKey[Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = "the whole of it: hundreds of faults, a million requests (20 minutes, not 3)"
    parser.addoption("--full", action="store_true", help=help_)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RESULTS] = Results()


MAX_STEPS = 500_000

SETTINGS: dict[str, object] = {"workers": 2, "max_steps": MAX_STEPS, "max_pending_s": 60, "timeout_s": 60}
"""The settings of servers that the tests do faults to. A rollout may take long."""

_CLOCK = """
# Python imports this at every start, if it finds it. Only what a clock on the wall shows can be set.
import os, time
_true = time.time
def _set():
    return _true() + os.stat(os.environ["CLOCK_STEP"]).st_mtime  # which takes no descriptor
time.time = _set
"""


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Tell whether all checks together may take 20 minutes, not 3."""
    return bool(pytestconfig.getoption("--full"))


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    """Return the table that each check adds its row to."""
    return pytestconfig.stash[_RESULTS]


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small artifact, which the servers serve."""
    return make_small_artifact(tmp_path_factory.mktemp("artifact"))


@pytest.fixture(scope="session")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file whose modification time is the error of `enduring`'s clock, in seconds."""
    file = tmp_path_factory.mktemp("clock") / "step"
    file.touch()
    os.utime(file, (0, 0))
    return file


@pytest.fixture(scope="session")
def enduring(tmp_path_factory: pytest.TempPathFactory, artifact: Path, clock: Path) -> Iterator[Server]:
    """Run the server of two workers that has to survive all faults."""
    (clock.parent / "sitecustomize.py").write_text(_CLOCK)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # only this server and its new workers get these variables
            patch.setenv("PYTHONPATH", str(clock.parent))
            patch.setenv("CLOCK_STEP", str(clock))
            serving = serve(tmp_path_factory.mktemp("enduring"), model=artifact, **SETTINGS)
            server = stack.enter_context(serving)
        yield server


@pytest.fixture(scope="session")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run one worker for the checks of slow and hostile clients. It waits for a client no longer than `RECEIVE_S`."""
    folder = tmp_path_factory.mktemp("patient")
    with serve(folder, "cold", model=make_small_artifact(folder), workers=1, receive_timeout_s=RECEIVE_S) as server:
        yield server


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Print the table, and write it for `benchmarks/document.py`."""
    results = session.config.stash[_RESULTS]
    if results.rows:
        name = "reliability" if session.config.getoption("--full") else "reliability_short"
        save(name, {"checks": results.table()}, [vars(row) for row in results.rows])
