"""Tests of the endpoints about the service itself, of its documentation, and of its start and end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
import torch

from app.settings import Settings
from model.artifact import digest_path, read_artifact
from tests.artifacts import MakeArtifact
from tests.metrics import metric
from tests.server import ROOT, Server, fails_to_start, serve
from tests.waiting import wait_for

needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="torch finds a CUDA device")


def test_health_is_200_once_the_model_serves(server: Server) -> None:
    for path in ("/livez", "/readyz"):
        assert httpx.get(server.url + path).status_code == 200


def test_model_describes_the_artifact_that_is_served(server: Server) -> None:
    artifact = read_artifact(Settings().model)
    info = httpx.get(f"{server.url}/model").json()
    assert info["digest"] == artifact.digest
    assert info["architecture"] == artifact.metadata.architecture.model_dump()
    assert info["errors"]
    assert info["data"]
    assert info["device"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert info["runtime"]


def test_each_model_has_an_example_that_it_fits(server: Server) -> None:
    models = httpx.get(f"{server.url}/models").json()["models"]
    assert {model["name"] for model in models} == {"sine", "any"}
    for model in models:
        sequence, season = model["example"]["sequence"], model["example"]["season"]
        body = {"sequence": sequence, "season": season, "model": model["name"], "diagnostics": True}
        answer = httpx.post(f"{server.url}/predict", json=body).raise_for_status().json()
        assert len(sequence) >= model["intervals"]["contexts"][0]
        assert answer["fit"]["ratio"] < 2
        assert "warnings" not in answer


def test_metrics_count_requests_by_route_and_status(server: Server) -> None:
    def count(route: str, status: int) -> float:
        return metric(server.url, "sine_requests_total", route=route, status=str(status))

    def counts() -> list[float]:
        return [count("/predict", 200), count("/predict", 422), count("other", 404)]

    expected = [before + 1 for before in counts()]
    httpx.post(f"{server.url}/predict", json={"sequence": [1, 2]})
    httpx.post(f"{server.url}/predict", json={"sequence": []})
    httpx.get(f"{server.url}/no-such-page")
    wait_for("them to be counted, after their answers, perhaps by another worker", lambda: counts() == expected)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/predict", 405)])
def test_other_refusals_are_problems_too(server: Server, method: str, path: str, status: int) -> None:
    response = httpx.request(method, server.url + path)
    assert response.status_code == response.json()["status"] == status
    assert response.headers["content-type"] == "application/problem+json"


def test_the_documentation_page_needs_nothing_from_elsewhere(server: Server) -> None:
    page = httpx.get(f"{server.url}/docs").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any(source.endswith(".js") for source in sources)
    for source in sources:
        assert urljoin(server.url, source).startswith(server.url), source
        assert httpx.get(urljoin(server.url, source)).status_code == 200


def test_the_openapi_document_has_limits_examples_and_every_refusal(server: Server) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    for path in ("/predict", "/generate"):
        operation = document["paths"][path]["post"]
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        assert body["properties"]["sequence"]["maxItems"] == Settings().max_sequence
        example = {name: field["examples"][0] for name, field in body["properties"].items()}
        assert httpx.post(server.url + path, json=example).status_code == 200
        assert {"200", "413", "422", "503"} <= operation["responses"].keys()
        for status, response in operation["responses"].items():
            assert list(response["content"]) == ["application/json" if status == "200" else "application/problem+json"]
    references = re.findall(r'"\$ref": ?"#/components/schemas/(\w+)"', httpx.get(f"{server.url}/openapi.json").text)
    assert len(references) > 5
    assert {*references} <= {*document["components"]["schemas"]}


def test_limits_are_settings(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    with serve(tmp_path, model=make_artifact(), workers=1, max_sequence=3, max_steps=2) as small:
        assert httpx.post(f"{small.url}/generate", json={"sequence": [1, 2, 3], "steps": 2}).status_code == 200
        assert httpx.post(f"{small.url}/generate", json={"sequence": [1, 2, 3, 4], "steps": 2}).status_code == 422
        assert httpx.post(f"{small.url}/generate", json={"sequence": [1, 2, 3], "steps": 3}).status_code == 422


def test_a_rollout_that_stops_being_finite_ends_there_and_says_so(explosive: Server) -> None:
    response = httpx.post(f"{explosive.url}/generate", json={"sequence": [1.0, -1.0, 0.001], "steps": 5})
    assert response.json()["finish_reason"] == "diverged"
    assert response.json()["values"] == pytest.approx([32 * 3e37 * 0.001])
    refused = httpx.post(f"{explosive.url}/predict", json={"sequence": [1.0, -1.0]})
    assert refused.status_code == 422
    assert "finite" in refused.json()["detail"]


def test_sigterm_ends_the_server_cleanly(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    with serve(tmp_path, model=make_artifact(), workers=1) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert "Application shutdown complete" in server.log.read_text()


def test_a_truncated_artifact_stops_the_start(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    path = make_artifact()
    path.write_bytes(path.read_bytes()[:-100])
    status, log = fails_to_start(tmp_path, model=path, workers=1)
    assert status == 3
    assert "the file is truncated" in log


def test_a_tampered_artifact_stops_the_start_before_its_code_runs(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    path = make_artifact()
    digest = digest_path(path).read_text()
    make_artifact(hidden=4)
    digest_path(path).write_text(digest)
    status, log = fails_to_start(tmp_path, model=path, workers=1)
    assert status == 3
    assert "not the one whose sha256 was recorded" in log


def test_an_artifact_that_misses_its_golden_rollouts_stops_the_start(
    tmp_path: Path, make_artifact: MakeArtifact
) -> None:
    path = make_artifact(spoil=lambda network: network.readout.weight.mul_(1.01))
    status, log = fails_to_start(tmp_path, model=path, workers=1)
    assert status == 3
    assert "does not reproduce golden rollout" in log


@needs_no_cuda
def test_cuda_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    status, log = fails_to_start(tmp_path, device="cuda", workers=1)
    assert status == 3
    assert "torch finds no CUDA device" in log


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


UNUSABLE_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "is missing": (lambda path: path.unlink(), "No such file"),
    "has no digest": (lambda path: digest_path(path).unlink(), ".sha256: cannot be read: No such file"),
    "has another digest": (lambda path: digest_path(path).write_text("0" * 64), "sha256 was recorded"),
    "has an empty digest": (lambda path: digest_path(path).write_text(""), "there is no digest in it"),
    "is text": (lambda path: path.write_text("no artifact"), "not a TorchScript file"),
    "is an empty folder": (lambda path: replaced(path, Path.mkdir), "it holds none; SINE_MODELS"),
    "is a pipe": (lambda path: replaced(path, os.mkfifo), "an artifact is a file"),
    "has a name that is too long": (lambda path: path.rename(path.with_name("x")), "File name too long"),
}


@pytest.mark.parametrize("how", UNUSABLE_FILES)
def test_an_artifact_that_cannot_be_used_is_one_line(how: str, tmp_path: Path, make_artifact: MakeArtifact) -> None:
    spoil, said = UNUSABLE_FILES[how]
    path = make_artifact()
    spoil(path)
    path = path.with_name("x" * 300) if "name" in how else path
    status, log = fails_to_start(tmp_path, model=path, workers=1)
    assert status == 3
    (line,) = map(json.loads, log.splitlines())
    assert list(line) == ["time", "level", "logger", "message"]
    assert line["level"] == "ERROR"
    assert line["message"].startswith("The service cannot start: ")
    assert str(path) in line["message"]
    assert said in line["message"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - it is refused
def test_a_port_in_use_is_named_with_its_host(tmp_path: Path, host: str, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, log = fails_to_start(tmp_path, host=host, port=port, workers=workers)
    assert status == 3
    (line,) = map(json.loads, log.splitlines())
    assert f"cannot listen on {host}:{port}: Address already in use" in line["message"]
    assert "SINE_PORT" in line["message"]


@pytest.mark.parametrize("host", ["192.0.2.1", "999.1.1.1", "name.invalid", "2001:db8::1", "a" * 300, "a..b"])
def test_a_host_that_is_none_of_this_machine_is_named(tmp_path: Path, host: str) -> None:
    status, log = fails_to_start(tmp_path, host=host, port=1234, workers=1)
    assert status == 3
    (line,) = map(json.loads, log.splitlines())
    shown = f"[{host}]:1234" if ":" in host else f"{host}:1234"
    assert f"cannot listen on {shown}: " in line["message"]
    assert "SINE_HOST has to be" in line["message"]


@pytest.mark.parametrize("host", ["http://me:planted@localhost", "localhost:8000", "[::1]", "/planted", "local host"])
def test_a_host_with_more_than_a_host_is_refused_and_not_repeated(tmp_path: Path, host: str) -> None:
    status, log = fails_to_start(tmp_path, host=host, workers=1)
    assert status == 2
    assert log.startswith("SINE_HOST: it has to be an address or a name of this machine")
    assert len(log.splitlines()) == 1
    assert host not in log


def test_a_folder_for_temporary_files_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    code = (
        "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc']; "
        "import runpy; runpy.run_module('app', run_name='__main__', alter_sys=True)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=ROOT, text=True)
    assert ended.returncode == 3
    (line,) = map(json.loads, ended.stderr.splitlines())
    assert "what the workers share" in line["message"]
    assert "TMPDIR" in line["message"]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("port", "planted", "an integer from 0 to 65,535"),
        ("max_steps", 0, "an integer from 1 to 10,000,000"),
        ("timeout_s", "planted", "a number above 0"),
        ("device", "planted", "auto, cpu or cuda"),
        ("hot_path", "planted", "true or false"),
        ("api_keys", "planted", "the file of keys cannot be read"),
    ],
)
def test_a_wrong_setting_is_named_and_stops_the_start(tmp_path: Path, name: str, value: object, allowed: str) -> None:
    status, log = fails_to_start(tmp_path, **{name: value})
    assert status == 2
    assert log.startswith(f"SINE_{name.upper()}: ")
    assert allowed in log
    assert len(log.splitlines()) == 1
    assert "planted" not in log


def test_a_misspelt_setting_is_named_once_by_a_service_that_starts(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    with serve(tmp_path, model=make_artifact(), workers=1, max_step=5) as server:
        lines = [*map(json.loads, server.log.read_text().splitlines())]
    (warning,) = [line for line in lines if line["level"] == "WARNING"]
    assert "SINE_MAX_STEP (did you mean SINE_MAX_STEPS?)" in warning["message"]


def test_a_misspelt_setting_of_keys_stops_the_start(tmp_path: Path) -> None:
    status, log = fails_to_start(tmp_path, api_key_file="planted", workers=1)
    assert status == 2
    assert log.startswith("SINE_API_KEY_FILE: ")
    assert "SINE_API_KEYS" in log
    assert "planted" not in log


def test_an_unknown_option_is_one_line_without_its_value() -> None:
    command = [sys.executable, "-m", "app", "--api-key", "planted"]
    ended = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "unknown option --api-key: `python -m app --help` lists the options\n"


def test_the_last_line_of_a_start_is_the_address_to_open(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    with serve(tmp_path, model=make_artifact(), workers=1, access_log=False, host="0.0.0.0") as server:  # noqa: S104
        last = json.loads(server.log.read_text().splitlines()[-1])
        assert list(last) == ["time", "level", "logger", "message"]
        assert last["message"] == f"The service is ready and running on {server.url}/"
        assert server.url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_help_lists_every_setting_with_its_default() -> None:
    shown = subprocess.run([sys.executable, "-m", "app", "--help"], capture_output=True, check=True, text=True).stdout
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')} " in shown
    assert shown.count("(default:") + shown.count("(default:\n") >= len(Settings.model_fields)
