"""Tests of the workers' shared folders. A service removes its own at its end, and dead services' at its start."""

import fcntl
import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from app.shared_memory.folders import METRICS_FOLDER, RATES_FOLDER, shared_folders
from app.telemetry.registry import Registry

_KILLED = """
import os, signal
from app.shared_memory.folders import shared_folders
with shared_folders():
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a folder of temporary files in which no other service has anything."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for variable in (METRICS_FOLDER, RATES_FOLDER):
        monkeypatch.setenv(variable, "")
    return tmp_path


def killed(temporary: Path) -> Path:
    """Return the folder that a killed process has left."""
    subprocess.run([sys.executable, "-c", _KILLED], env=os.environ | {"TMPDIR": str(temporary)}, check=False)
    (left,) = temporary.iterdir()
    return left


def test_the_folders_exist_as_long_as_the_service(temporary: Path) -> None:
    with shared_folders():
        assert all(Path(os.environ[variable]).is_dir() for variable in (METRICS_FOLDER, RATES_FOLDER))
    assert [*temporary.iterdir()] == []


def test_the_next_start_removes_the_folder_of_a_killed_service(temporary: Path) -> None:
    left = killed(temporary)
    with shared_folders():
        assert not left.exists()
        assert len([*temporary.iterdir()]) == 1


def test_a_folder_in_use_stays(temporary: Path) -> None:
    """The user is another service, or a worker that has outlived the process that started it."""
    left = killed(temporary)
    worker = Registry(left / METRICS_FOLDER)
    with shared_folders():
        used = Path(os.environ[METRICS_FOLDER])
        with shared_folders():
            assert left.exists()
            assert used.exists()
    del worker
    gc.collect()  # the worker ends
    with shared_folders():
        assert not left.exists()


def test_other_files_stay(temporary: Path) -> None:
    others = [temporary / "sine-curves", temporary / "sine-new", temporary / "sine-file", temporary / "sine-link"]
    others[0].mkdir()
    (others[0] / "drawing").touch()
    others[1].mkdir()  # a service that is just starting has an empty folder
    others[2].touch()
    others[3].symlink_to(others[0])
    with shared_folders():
        pass
    assert {*temporary.iterdir()} == {*others}


def test_a_file_system_without_locks_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: object, kind: int) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(fcntl, "flock", flock)
    with shared_folders():
        used = Path(os.environ[METRICS_FOLDER])
        with shared_folders():
            assert used.exists()
