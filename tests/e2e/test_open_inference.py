"""Tests of the page on the Open Inference Protocol: its examples work, and its table lists all endpoints."""

import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.e2e.test_readme import at, same
from tests.server import ROOT, Server

PAGE = (ROOT / "docs" / "open-inference.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_example_with_tritonclient_prints_what_the_page_shows(server: Server) -> None:
    program = block("python").replace("localhost:8000", server.url.removeprefix("http://"))
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert same(ran.stdout, block("text"))


def test_the_example_with_curl_prints_what_the_page_shows(server: Server, tmp_path: Path) -> None:
    commands = re.findall(r"^\$ (.+)\n", block("console"), re.MULTILINE)
    ran = subprocess.run(
        ["bash", "-ec", at(server, "\n".join(commands))], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert same(ran.stdout, block("console").splitlines()[-1])


def test_the_endpoints_of_the_page_are_those_of_the_service(server: Server) -> None:
    promised = set(re.findall(r"`(?:GET|POST) (/v2[^\s`]*)`", PAGE))
    model = "/v2/models/{model}"
    versioned = {path.replace(model, f"{model}/versions/{{version}}") for path in promised if path.startswith(model)}
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert promised | versioned == {path for path in paths if path.startswith("/v2")}
