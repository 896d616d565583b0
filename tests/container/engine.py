"""Docker and Compose, as the tests of this folder use them."""

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from tests.server import ROOT

_HEALTHY_LIMIT_S = 120


@dataclass(frozen=True)
class Compose:
    """Compose, with a project of the tests' own."""

    command: list[str]
    environment: dict[str, str]

    def __call__(self, *arguments: str) -> str:
        """Run it, with its messages in the test's captured output, and return what it prints."""
        return output(*self.command, *arguments, environment=self.environment)


@dataclass(frozen=True)
class Container:
    """A service that is up."""

    compose: Compose
    service: str
    id: str
    url: str

    def inspect(self) -> dict[str, Any]:
        """What the engine knows about it."""
        (description,) = json.loads(docker("inspect", self.id))
        return dict(description)

    def run(self, code: str) -> Any:
        """What Python code prints as JSON in there."""
        return json.loads(docker("exec", self.id, "python", "-c", code))

    def wait_until_healthy(self) -> None:
        """Wait for the engine's own health check.

        Raises:
            AssertionError: with the container's log.
        """
        deadline = time.monotonic() + _HEALTHY_LIMIT_S
        state = self.inspect()["State"]
        while state["Health"]["Status"] != "healthy":
            assert state["Status"] == "running", self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)
            state = self.inspect()["State"]

    def address(self) -> str:
        """Where it listens itself: what publishes its port takes connections that it refuses."""
        (network,) = self.inspect()["NetworkSettings"]["Networks"].values()
        return f"http://{network['IPAddress']}:8000"

    def log(self) -> str:
        """What it has printed."""
        return self.compose("logs", "--no-color", self.service)


def docker(*arguments: str) -> str:
    """What the engine's command prints."""
    return output("docker", *arguments)


def output(*command: str, environment: dict[str, str] | None = None) -> str:
    """What a command prints. Raises CalledProcessError where it fails."""
    return subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def works(*command: str) -> bool:
    """Whether a command is there, and ends well."""
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0
