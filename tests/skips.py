"""A pytest plugin that bounds the number of skips and their reasons: `pytest -p tests.skips --skips-at-most 20`.

It is for a machine that has everything but a CUDA device. A test that skips there for any other reason fails the run,
because something that the tests need is missing.
"""

import re
from collections.abc import Iterator

import pytest

_NO_CUDA = re.compile("torch finds no CUDA device|the engine has no NVIDIA runtime")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the bound. Without the option the plugin does nothing."""
    help_ = "fail if more tests skip, or if one skips for another reason than a missing CUDA device"
    parser.addoption("--skips-at-most", type=int, metavar="N", help=help_)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End with the status of failed tests if a skip is out of bounds."""
    if session.exitstatus == pytest.ExitCode.OK and any(_faults(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print each fault on a line of its own."""
    for fault in _faults(config):
        terminalreporter.write_line(f"SKIPS {fault}", red=True)


def _faults(config: pytest.Config) -> Iterator[str]:
    bound: int | None = config.getoption("--skips-at-most")
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if bound is None or reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    for report in skipped:
        _, _, reason = report.longrepr
        if not _NO_CUDA.search(reason):
            yield f"{report.nodeid}: {reason}"
    if len(skipped) > bound:
        yield f"{len(skipped)} tests skipped, and at most {bound} may"
