"""Test of `python -m app --reload`: a change of the code starts the service anew."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx

from tests.server import ROOT
from tests.waiting import wait_for


def test_a_change_of_the_code_starts_the_service_anew(tmp_path: Path) -> None:
    for folder in ("app", "model"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    log = tmp_path / "log"
    settings = {"SINE_PORT": "0", "SINE_WORKERS": "1", "SINE_ENGINE": "torchscript", "PYTHONPATH": str(tmp_path)}
    # TorchScript starts at once: a copy of the code has no kernels in its cache
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SINE_")} | settings
    with log.open("wb") as output:
        command = [sys.executable, "-m", "app", "--reload", "--max-steps", "7"]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=output, stderr=output)

    def addresses() -> list[str]:
        return re.findall(r"running on (http://[\d.]+:\d+)", log.read_text())

    def steps_are_limited(url: str) -> bool:
        try:
            answer = httpx.post(f"{url}/generate", json={"sequence": [1.0], "steps": 8})
        except httpx.TransportError:
            return False
        return answer.status_code == 422

    try:
        wait_for("the first start", lambda: len(addresses()) == 1 and steps_are_limited(addresses()[0]), 120)
        page = tmp_path / "app" / "__init__.py"
        page.write_text(page.read_text() + "\nCHANGED = True\n")
        wait_for("the second start", lambda: len(addresses()) == 2 and steps_are_limited(addresses()[1]), 120)
        assert "Python files have changed" in log.read_text()
    finally:
        process.terminate()
        process.wait(30)
    wait_for("the end", lambda: not steps_are_limited(addresses()[1]), 30)
