"""Tests that an installation shows that it goes on, and that nothing is shown where nothing has to be installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def commands(folder: Path, target: str) -> str:
    """Return the commands that `make` would run for a target, in a copy of the project without packages."""
    for name in ("Makefile", "pyproject.toml", "client/pyproject.toml", "constraints.txt"):
        if not (folder / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    arguments = ["make", "--dry-run", "--no-print-directory", target]
    return subprocess.run(arguments, cwd=folder, capture_output=True, check=True, text=True).stdout


@pytest.mark.parametrize("target", ["serve", "install", "test"])
def test_an_installation_says_that_it_begins_how_large_it_is_and_what_it_downloads(tmp_path: Path, target: str) -> None:
    shown = commands(tmp_path, target)
    assert shown.startswith('echo "Installing what the server')
    assert "300 MB" in shown
    assert shown.count("/pip install ") == 1
    assert "--quiet" not in shown


def test_nothing_is_installed_or_said_twice(tmp_path: Path) -> None:
    commands(tmp_path, "serve")
    (tmp_path / ".venv").mkdir()
    for stamp in ("serve.stamp", "dev.stamp"):
        (tmp_path / ".venv" / stamp).touch()
    assert commands(tmp_path, "serve") == "exec .venv/bin/python -m app\n"
    assert "Installing" not in commands(tmp_path, "install")
