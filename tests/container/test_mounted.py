"""Tests of the container with a folder of the host: it serves the model in there, and asks for the keys in there."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.keys import line, new_key
from model.artifact import read_artifact
from model.network import Network
from tests.artifacts import make_small_artifact
from tests.container.engine import Compose, Container, docker
from tests.waiting import wait_for

KEY, ADMIN_KEY = new_key(), new_key()


def double(network: Network) -> None:
    """Change the network so that its artifact has another digest."""
    network.readout.weight.mul_(2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder that every user can read, like its parents."""
    folder = tmp_path_factory.mktemp("mounted")
    make_small_artifact(folder)
    (folder / "api-keys").write_text(line("alice", KEY))
    (folder / "admin-keys").write_text(line("admin", ADMIN_KEY))
    for path in (folder, *folder.parents[:2], *folder.iterdir()):
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def container(compose: Compose, folder: Path) -> Iterator[Container]:
    own = {
        "SINE_FOLDER": str(folder),
        "SINE_MODEL": "/mnt/sine",
        "SINE_MODEL_NAME": "forecasts",
        "SINE_RELOAD_INTERVAL_S": "0.5",
        "SINE_API_KEYS": "/mnt/sine/api-keys",
        "SINE_ADMIN_KEYS": "/mnt/sine/admin-keys",
    }
    compose = replace(compose, environment=compose.environment | own)
    try:
        compose("up", "--detach", "--build", "serve")
        identifier = compose("ps", "--quiet", "serve").strip()
        running = Container(compose, "serve", identifier, f"http://127.0.0.1:{compose.environment['SINE_PORT']}")
        running.wait_until_healthy()
        yield running
    finally:
        compose("rm", "--stop", "--force", "serve")


def test_the_container_serves_the_mounted_model_and_asks_for_the_mounted_keys(
    container: Container, folder: Path
) -> None:
    assert httpx.get(f"{container.url}/model").status_code == 401
    with httpx.Client(base_url=container.url, headers={"authorization": f"Bearer {KEY}"}) as client:
        assert client.get("/model").json()["digest"] == read_artifact(folder / "small.pt").digest
        assert client.get("/v2/models/forecasts/ready").status_code == 200
        assert client.get("/metrics").status_code == 401
    assert httpx.get(f"{container.url}/metrics", headers={"authorization": f"Bearer {ADMIN_KEY}"}).status_code == 200


def test_the_container_loads_a_model_that_is_replaced_on_the_host_and_cannot_replace_it(
    container: Container, folder: Path
) -> None:
    with httpx.Client(base_url=container.url, headers={"authorization": f"Bearer {KEY}"}) as client:
        make_small_artifact(folder, version="2", prepare=double)
        for path in folder.iterdir():
            path.chmod(0o755)
        wait_for("the new model", lambda: client.get("/model").json()["version"] == "2")
    (mount,) = (m for m in json.loads(docker("inspect", container.id))[0]["Mounts"] if m["Destination"] == "/mnt/sine")
    assert mount["RW"] is False
