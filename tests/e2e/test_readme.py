"""What the README promises: its commands are run, and give what it says they give."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.server import ROOT, Server

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def same(printed: str, promised: str) -> bool:
    """Whether two outputs say the same; machines may differ in the last digits of a number."""
    number = r"-?\d+\.\d+"
    numbers = [[float(n) for n in re.findall(number, text)] for text in (printed, promised)]
    words = [re.sub(number, "#", text).strip() for text in (printed, promised)]
    return words[0] == words[1] and numbers[0] == pytest.approx(numbers[1], abs=1e-5)


def at(server: Server, text: str) -> str:
    return text.replace("http://localhost:8000", server.url).replace("localhost:8000", server.url)


def test_console_examples_print_what_the_readme_shows(server: Server, tmp_path: Path) -> None:
    compared = 0
    for block in blocks("console"):
        for command, promised in re.findall(r"^\$ (.+)\n((?:[^$\n].*\n)*)", block, re.MULTILINE):
            ran = subprocess.run(
                ["bash", "-c", at(server, command)], cwd=tmp_path, capture_output=True, text=True, check=True
            )
            assert same(ran.stdout, promised), f"{command}\nprinted {ran.stdout}\nnot     {promised}"
            compared += bool(promised)
    assert compared == 3


def test_the_python_example_prints_what_the_readme_shows(server: Server) -> None:
    (program,), (promised,) = blocks("python"), blocks("text")
    ran = subprocess.run([sys.executable, "-c", at(server, program)], capture_output=True, text=True, check=True)
    assert same(ran.stdout, promised)


def test_the_endpoints_of_the_readme_are_those_of_the_service(server: Server) -> None:
    promised = set(re.findall(r"`(?:GET|POST) (/\S+)`", README))
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    # Those below /v2 have a page of their own: test_open_inference.py.
    assert promised == {*(path for path in paths if not path.startswith("/v2/")), "/docs", "/openapi.json"}


def test_every_make_target_that_is_named_exists() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named: set[str] = set()
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        named |= set(re.findall(r"\bmake ([a-z-]+)(?:`| {2,}|$)", page.read_text(), re.MULTILINE))
    assert {"serve", "test"} <= named
    assert named <= set(targets)


def test_every_module_that_is_named_as_a_command_exists() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for module in re.findall(r"python -m ((?:app|training|benchmarks)[\w.]*)", page.read_text()):
            path = ROOT / Path(*module.split("."))
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{page.name}: {module}"


def test_every_link_to_a_file_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
