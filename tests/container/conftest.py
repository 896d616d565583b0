"""One project of Compose for all tests of this folder: what is built for one of them is there for the others."""

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.container.engine import Compose, works
from tests.server import free_port


@pytest.fixture(scope="session")
def compose() -> Iterator[Compose]:
    """Whichever Compose is there, with settings of its own."""
    if not works("docker", "info"):
        pytest.fail("this needs the docker command and an engine that it reaches: `docker info` fails", pytrace=False)
    commands = [command for command in (["docker", "compose"], ["docker-compose"]) if works(*command, "version")]
    if not commands:
        pytest.fail("this needs `docker compose` or `docker-compose`, and neither is there", pytrace=False)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SINE_", "COMPOSE_"))}
    own |= {"SINE_HOST": "127.0.0.1", "SINE_PORT": str(free_port()), "SINE_GPU_PORT": str(free_port())}
    own |= {"SINE_PROXY_PORT": str(free_port())}
    project = f"sine-test-{uuid.uuid4().hex[:8]}"
    # With the profiles named, `down` finds their containers too.
    profiles = ["--profile", "gpu", "--profile", "scale", "--profile", "bulk"]
    compose = Compose([*commands[0], "--file", "docker-compose.yml", "--project-name", project, *profiles], own)
    try:
        yield compose
    finally:
        compose("down", "--volumes", "--rmi", "local")
