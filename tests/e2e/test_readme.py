"""Tests of the README's promises: its commands run, and their output is the one that it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server import ROOT, Server

README = (ROOT / "README.md").read_text()
EXECUTED = ("README.md", "docs/states.md", "docs/bulk.md")
"""The pages whose examples are run."""


def blocks(page: str, pattern: str) -> list[Any]:
    return re.findall(pattern, (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def same(printed: str, promised: str) -> bool:
    """Tell whether two outputs agree. Machines may differ in the last digits of a number."""
    number = r"-?\d+\.\d+"
    numbers = [[float(n) for n in re.findall(number, text)] for text in (printed, promised)]
    words = [re.sub(number, "#", text).strip() for text in (printed, promised)]
    return words[0] == words[1] and numbers[0] == pytest.approx(numbers[1], abs=1e-5)


def at(server: Server, text: str) -> str:
    return text.replace("http://localhost:8000", server.url).replace("localhost:8000", server.url)


@pytest.mark.parametrize("page", EXECUTED)
def test_console_examples_print_what_the_page_shows(server: Server, tmp_path: Path, page: str) -> None:
    compared = 0
    for block in blocks(page, r"^```console\n(.*?)^```"):
        for command, promised in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            ran = subprocess.run(
                ["bash", "-c", at(server, command).replace(".venv/bin/python", sys.executable)],
                cwd=tmp_path,
                env=os.environ
                | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "client")]), "SINE_URL": server.url},
                capture_output=True,
                text=True,
                check=True,
            )
            assert same(ran.stdout, promised), f"{command}\nprinted {ran.stdout}\nnot     {promised}"
            compared += bool(promised)
    assert compared > 0


@pytest.mark.parametrize("page", EXECUTED)
def test_python_examples_print_what_the_page_shows(server: Server, page: str) -> None:
    examples = blocks(page, r"^```python\n(.*?)^```.*?^```text\n(.*?)^```")
    assert len(examples) == len(blocks(page, r"^```python\n")) > 0
    for program, promised in examples:
        ran = subprocess.run([sys.executable, "-c", at(server, program)], capture_output=True, text=True, check=True)
        assert same(ran.stdout, promised)


def test_the_endpoints_of_the_readme_are_those_of_the_service(server: Server) -> None:
    promised = set(re.findall(r"`(?:GET|POST) (/\S+)`", README))
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    # The endpoints below /v2 have a page of their own: test_open_inference.py.
    assert promised == {*(path for path in paths if not path.startswith("/v2/")), "/docs", "/openapi.json"}


def test_every_make_target_that_is_named_exists() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        target
        for page in pages
        for target in re.findall(r"\bmake ([a-z-]+)(?:`| {2,}|$)", page.read_text(), re.MULTILINE)
    }
    assert {"serve", "test"} <= named
    assert named <= set(targets)
