"""Tests of the client as a package of its own, in an environment that has nothing but what pip gives it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT, Server

USER = """
import app
from sine_client import Client, ServiceError


def ask(url: str) -> list[float]:
    with Client(url) as client:
        try:
            answer = client.generate([0.0, 1.0, 0.0, -1.0] * 8, 3, level=[80])
        except ServiceError as error:
            print(error.problem.detail)
            raise
        assert answer.intervals is not None
        name: str = client.model().name
        assert name == "sine" and app.OWN
        return answer.values
"""


def clean() -> dict[str, str]:
    """Return the environment's variables without those that name more packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new virtual environment with the client. Skip the test where there is no package index."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    sources = shutil.copytree(ROOT / "client", folder / "client", ignore=shutil.ignore_patterns("__pycache__"))
    pip: list[str | Path] = [
        folder / "bin/python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--retries",
        "0",
    ]
    command: list[str | Path] = [*pip, "-c", ROOT / "constraints.txt", sources]
    made = subprocess.run(command, env=clean(), capture_output=True, text=True, check=False)
    if "No matching distribution found for" in made.stderr:
        pytest.skip("no package index can be reached")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a project that has a package `app` of its own and uses the client."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("OWN = True\n")
    (tmp_path / "user.py").write_text(USER)
    return tmp_path


def run(environment: Path, folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    arguments: list[str | Path] = [environment / "bin" / str(command[0]), *map(str, command[1:])]
    return subprocess.run(arguments, cwd=folder, env=clean(), capture_output=True, text=True, check=False)


def test_a_project_with_its_own_package_app_uses_the_client(environment: Path, project: Path, server: Server) -> None:
    ran = run(environment, project, "python", "-c", f"import user; print(len(user.ask({server.url!r})))")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3\n", "")


def test_the_client_brings_no_torch_and_no_web_framework(environment: Path, project: Path) -> None:
    found = run(environment, project, "python", "-m", "pip", "list", "--format", "freeze").stdout
    names = {line.partition("==")[0] for line in found.splitlines()}
    assert {"sine-rnn-client", "httpx", "narwhals", "pydantic"} <= names
    assert not {"torch", "fastapi", "starlette", "uvicorn", "numba", "pandas", "polars"} & names


def test_the_command_works_there(environment: Path, project: Path, server: Server) -> None:
    (project / "values.txt").write_text("0 1 0 -1\n" * 8)
    ran = run(environment, project, "sine", "predict", "values.txt", "--model", "any", "--url", server.url)
    assert (ran.returncode, ran.stderr) == (0, "")
    float(ran.stdout)


def test_a_users_file_passes_mypy_in_its_strict_form(environment: Path, project: Path) -> None:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        environment / "bin/python",
        "user.py",
    ]
    ran = subprocess.run(command, cwd=project, env=clean(), capture_output=True, text=True, check=False)
    assert ran.stdout == "Success: no issues found in 1 source file\n"
