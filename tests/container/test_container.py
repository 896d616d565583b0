"""Tests of docker-compose.yml's real containers: the tests build, start, query, inspect and stop them.

`make test-container` runs them; they need a Docker engine. The GPU's container has the same tests as the CPU's. They
skip if the engine cannot hand a GPU to a container.
"""

import json
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from model import DEFAULT_ARTIFACT
from model.artifact import read_artifact
from model.runtime.check import tolerance
from model.runtime.select import open_runtime
from tests.container.engine import Compose, Container, docker

_EVERY_PROCESS = """
import json, pathlib
statuses = [path.read_text() for path in pathlib.Path("/proc").glob("[0-9]*/status")]
print(json.dumps([dict(line.split(":", 1) for line in status.splitlines()) for status in statuses]))
"""

_WRITABLE_FOLDERS = """
import json, os
folders = (folder for folder, _, _ in os.walk("/") if not folder.startswith(("/proc", "/sys")))
print(json.dumps([folder for folder in folders if os.access(folder, os.W_OK)]))
"""

_ROOT_IS_READ_ONLY = 'import os; print("true" if os.statvfs("/").f_flag & os.ST_RDONLY else "false")'


@pytest.fixture(scope="module", params=["serve", "gpu"])
def container(compose: Compose, request: pytest.FixtureRequest) -> Iterator[Container]:
    """Build and start a container for these tests, and wait until it is healthy."""
    service: str = request.param
    if service == "gpu" and "nvidia" not in json.loads(docker("info", "--format", "{{json .Runtimes}}")):
        pytest.skip("the engine has no NVIDIA runtime, so it cannot hand a GPU to a container")
    try:
        compose("up", "--detach", "--build", service)
        port = compose.environment["SINE_PORT" if service == "serve" else "SINE_GPU_PORT"]
        running = Container(compose, service, compose("ps", "--quiet", service).strip(), f"http://127.0.0.1:{port}")
        running.wait_until_healthy()
        yield running
    finally:
        compose("rm", "--stop", "--force", service)


def test_the_container_serves_the_artifact_of_this_checkout(container: Container) -> None:
    model = httpx.get(f"{container.url}/model").json()
    assert model["digest"] == read_artifact(DEFAULT_ARTIFACT).digest
    # The fused runtime writes compiled code to a cache. TorchScript replaces it if that is not possible.
    expected = {"serve": ("cpu", "fused"), "gpu": ("cuda", "torchscript")}
    assert (model["device"], model["runtime"]) == expected[container.service], model["runtime_reason"]


def test_the_container_answers_as_the_model_does_here(container: Container) -> None:
    sequence, steps = (3 * np.sin(np.arange(64) / 4)).tolist(), 100
    runtime = open_runtime(read_artifact(DEFAULT_ARTIFACT), "cpu").runtime
    (expected_S,), _ = runtime.rollout(runtime.encode([sequence]), steps)
    # Both may differ from the truth by the golden check's tolerance, in opposite directions.
    allowed_S = 2 * tolerance(steps) * np.abs(sequence).max()

    predicted = httpx.post(f"{container.url}/predict", json={"sequence": sequence})
    assert predicted.status_code == 200
    assert abs(predicted.json()["prediction"] - expected_S[0]) <= allowed_S[0]

    generated = httpx.post(f"{container.url}/generate", json={"sequence": sequence, "steps": steps})
    assert generated.status_code == 200
    assert generated.json()["finish_reason"] == "length"
    assert (np.abs(generated.json()["values"] - expected_S) <= allowed_S).all()


def test_no_process_is_root_or_can_become_it(container: Container) -> None:
    processes = container.run(_EVERY_PROCESS)
    assert len(processes) >= 2  # the service, and the process that looks
    for process in processes:
        assert "0" not in process["Uid"].split(), process["Name"]
        assert "0" not in process["Gid"].split(), process["Name"]
        assert process["NoNewPrivs"].strip() == "1", process["Name"]
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(process[kind], 16) == 0, (process["Name"], kind)


def test_only_memory_and_the_cache_of_kernels_are_writable(container: Container) -> None:
    assert container.run(_ROOT_IS_READ_ONLY)
    writable = container.run(_WRITABLE_FOLDERS)
    assert "/tmp" in writable  # noqa: S108 - the container's own, which is in memory
    assert all(folder.startswith(("/tmp", "/dev/", "/var/cache/sine")) for folder in writable), writable  # noqa: S108


def test_the_kernel_is_compiled_once_and_comes_from_the_cache_at_the_next_start(container: Container) -> None:
    if container.service == "gpu":
        pytest.skip("there is no kernel to compile on a GPU")
    container.compose("restart", container.service)
    container.wait_until_healthy()
    assert "from the cache" in httpx.get(f"{container.url}/model").json()["runtime_reason"]


def test_the_container_stops_in_order_and_long_before_it_would_be_killed(container: Container) -> None:
    began = time.monotonic()
    container.compose("stop", container.service)
    took_s = time.monotonic() - began
    try:
        description = container.inspect()
        assert description["State"]["ExitCode"] == 0, container.log()
        assert took_s < description["Config"]["StopTimeout"] / 3
        assert "Application shutdown complete" in container.log()
    finally:  # the other tests need a running container
        container.compose("start", container.service)
        container.wait_until_healthy()
