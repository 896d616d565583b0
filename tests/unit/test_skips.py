"""Tests of the plugin that allows skips for want of CUDA alone: any other skip fails the run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT

CUDA = '@pytest.mark.skipif(True, reason="torch finds no CUDA device")\n'
OTHER = '@pytest.mark.skipif(True, reason="there is no nginx here")\n'


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin on one file, which begins with an import of pytest."""
    (folder / "test_it.py").write_text(f"import pytest\n\n{text}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.skips", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("marks", "options", "status", "said"),
    [
        ([CUDA, ""], ["--skips-at-most=1"], 0, ""),
        ([CUDA, CUDA, ""], ["--skips-at-most=1"], 1, "SKIPS 2 tests skipped, and at most 1 may"),
        ([OTHER, ""], ["--skips-at-most=1"], 1, "SKIPS test_it.py::test_0: Skipped: there is no nginx here"),
        ([OTHER, ""], [], 0, ""),
    ],
    ids=["within the bound", "too many", "another reason", "without a bound"],
)
def test_a_skip_out_of_bounds_fails_the_run(
    tmp_path: Path, marks: list[str], options: list[str], status: int, said: str
) -> None:
    tests = "\n".join(f"{mark}def test_{number}() -> None: ...\n" for number, mark in enumerate(marks))
    ran = run(tmp_path, tests, *options)
    assert ran.returncode == status, ran.stdout
    assert said in ran.stdout
    assert ("SKIPS" in ran.stdout) == bool(said)


def test_a_module_that_is_skipped_as_a_whole_counts(tmp_path: Path) -> None:
    ran = run(tmp_path, 'pytest.importorskip("no_such_module")\n\ndef test_it() -> None: ...\n', "--skips-at-most=1")
    assert ran.returncode != 0
    assert "SKIPS test_it.py: Skipped: could not import 'no_such_module'" in ran.stdout
