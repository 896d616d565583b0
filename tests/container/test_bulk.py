"""Tests of bulk forecasts in a container: a folder of the host becomes another one, which belongs to the user."""

import os
from dataclasses import replace
from pathlib import Path

from tests.bulk import bulk, contents, write_parts
from tests.container.engine import Compose

OPTIONS = ("--horizon", "4", "--model", "sine", "--workers", "1")


def test_a_folder_of_the_host_is_forecast_as_on_the_host(compose: Compose, tmp_path: Path) -> None:
    write_parts(tmp_path / "in", 2, 5)
    assert bulk(tmp_path / "in", tmp_path / "here", *OPTIONS) == 0
    own = {"SINE_DATA": str(tmp_path), "SINE_USER": f"{os.getuid()}:{os.getgid()}"}
    compose = replace(compose, environment=compose.environment | own)
    compose("build", "bulk")
    compose("run", "--rm", "bulk", "in", "out", *OPTIONS)
    assert contents(tmp_path / "out") == contents(tmp_path / "here")
    assert {path.stat().st_uid for path in (tmp_path / "out").iterdir()} == {os.getuid()}
