"""Tests of reloads on a service without load, step by step. tests/reliability/test_reload.py adds load."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from model.artifact import read_artifact
from model.network import Network
from tests.artifacts import make_small_artifact
from tests.keys import AS_ADMIN, admin_keys
from tests.metrics import metric
from tests.server import Server, serve, start
from tests.waiting import wait_for

SEQUENCE = [0.1, 0.25, 0.2]
LONG = 300_000


def scaled(by: float) -> Callable[[Network], object]:
    """Change the network so that it answers differently."""
    return lambda network: network.readout.weight.mul_(by)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a default model and one other."""
    folder = tmp_path_factory.mktemp("models")
    make_small_artifact(folder, name="a.pt", called="a")
    make_small_artifact(folder, name="b.pt", called="b")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("server")
    settings = {"model": folder / "a.pt", "models": folder, "workers": 1, "max_steps": LONG}
    with serve(place, **settings, admin_keys=admin_keys(place)) as server:
        yield server


@pytest.fixture
def ask(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, headers=AS_ADMIN) as client:
        yield client


def names(ask: httpx.Client) -> list[str]:
    return [f"{model['name']} {model['version']}" for model in ask.get("/models").json()["models"]]


def threads(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


def test_a_reload_adds_new_models_replaces_changed_ones_and_removes_missing_ones(
    ask: httpx.Client, folder: Path, server: Server
) -> None:
    before = ask.post("/predict", json={"sequence": SEQUENCE, "model": "b"})
    make_small_artifact(folder, name="b.pt", called="b", version="2", prepare=scaled(2))
    make_small_artifact(folder, name="c.pt", called="c")
    answer = ask.post("/admin/reload")
    assert answer.status_code == 200
    assert answer.json() == ask.get("/models").json()
    assert names(ask) == ["a 1", "b 2", "c 1"]
    after = ask.post("/predict", json={"sequence": SEQUENCE, "model": "b"})
    assert after.json() != before.json()
    assert after.headers["x-model-version"] == f"2+{read_artifact(folder / 'b.pt').digest[:12]}"
    assert metric(server.url, "sine_model_info", headers=AS_ADMIN, name="b") == 1
    (folder / "c.pt").unlink()
    assert ask.post("/admin/reload").status_code == 200
    assert names(ask) == ["a 1", "b 2"]
    assert ask.post("/predict", json={"sequence": SEQUENCE, "model": "c"}).status_code == 404
    assert ask.get("/v2/models/c").status_code == 404
    assert "No longer serving c 1" in server.log.read_text()


def test_nothing_is_loaded_if_nothing_has_changed(ask: httpx.Client, server: Server) -> None:
    served = server.log.read_text().count("Serving ")
    assert ask.post("/admin/reload").status_code == 200
    assert server.log.read_text().count("Serving ") == served
    assert "Nothing to reload" in server.log.read_text()


def test_one_bad_file_leaves_that_model_as_it_was_and_the_others_are_replaced(ask: httpx.Client, folder: Path) -> None:
    good = {path: path.read_bytes() for path in folder.iterdir()}
    (folder / "a.pt").write_bytes(b"nothing")
    (folder / "d.pt").write_bytes(b"nothing")
    make_small_artifact(folder, name="b.pt", called="b", version="3", prepare=scaled(3))
    refused = ask.post("/admin/reload")
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert f"{folder / 'a.pt'}: not a TorchScript file" in refused.json()["detail"]
    assert f"{folder / 'd.pt.sha256'}: cannot be read: No such file or directory" in refused.json()["detail"]
    assert names(ask) == ["a 1", "b 3"]
    (folder / "d.pt").unlink()
    for path, content in good.items():
        path.write_bytes(content)
    assert ask.post("/admin/reload").status_code == 200
    assert names(ask) == ["a 1", "b 2"]


def test_two_files_of_one_name_change_nothing(ask: httpx.Client, folder: Path) -> None:
    before = names(ask)
    make_small_artifact(folder, name="b.pt", called="b", version="4", prepare=scaled(4))
    make_small_artifact(folder, name="e.pt", called="a", version="4", prepare=scaled(4))
    refused = ask.post("/admin/reload")
    assert refused.status_code == 409
    assert f"{folder / 'a.pt'} and {folder / 'e.pt'} both hold a model named 'a'" in refused.json()["detail"]
    assert names(ask) == before
    (folder / "e.pt").unlink()
    assert ask.post("/admin/reload").status_code == 200


def test_a_file_may_change_the_name_of_its_model(ask: httpx.Client, folder: Path) -> None:
    make_small_artifact(folder, name="a.pt", called="b", version="5")
    make_small_artifact(folder, name="b.pt", called="a", version="6", prepare=scaled(6))
    assert ask.post("/admin/reload").status_code == 200
    assert names(ask) == ["b 5", "a 6"]
    assert ask.get("/model").json()["name"] == "b", "the default is the model in the default's file"


def test_running_work_ends_on_its_model_which_then_closes(ask: httpx.Client, folder: Path, server: Server) -> None:
    def predicted(sequence: list[float]) -> Any:
        return ask.post("/predict", json={"sequence": sequence}).json()

    expected = ask.post("/generate", json={"sequence": SEQUENCE, "steps": LONG}).json()["values"]
    begun = predicted(SEQUENCE[:1]), predicted(SEQUENCE[:2])
    idle = threads(server)
    body = {"sequence": SEQUENCE, "steps": LONG}
    with (
        connect(server.url.replace("http", "ws") + "/live") as socket,
        ask.stream("POST", "/generate/stream", json=body) as stream,
    ):
        socket.send(str(SEQUENCE[0]))
        assert json.loads(socket.recv()) == begun[0]
        parts = stream.iter_lines()
        first = next(parts)
        for version in ("7", "8"):
            name = ask.get("/model").json()["name"]
            make_small_artifact(folder, name="a.pt", called=name, version=version, prepare=scaled(float(version)))
            with httpx.Client(base_url=server.url, timeout=30, headers=AS_ADMIN) as other:
                assert other.post("/admin/reload").status_code == 200
                assert other.post("/generate", json=body | {"steps": 5000}).status_code == 200
                assert other.get("/model").json()["version"] == version
        socket.send(str(SEQUENCE[1]))
        assert json.loads(socket.recv()) == begun[1] != predicted(SEQUENCE[:2])
        lines = [first, *parts]
        data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        assert [value for part in data for value in part.get("values", [])] == expected
    wait_for("no more threads than before", lambda: threads(server) <= idle)
    assert metric(server.url, "sine_pending_steps", headers=AS_ADMIN) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hangup_during_the_start_ends_nothing_and_is_not_forgotten(tmp_path: Path, workers: int) -> None:
    process, log = start(tmp_path, model=make_small_artifact(tmp_path), workers=workers)

    def said(what: str) -> int:
        return log.read_text().count(what)

    try:
        wait_for("the process to have begun", lambda: said("Started"), 60)
        while said("startup complete") < workers:
            assert process.poll() is None
            process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
        wait_for("the reload", lambda: said("Nothing to reload") >= workers, 60)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def projected(volume: Path, version: str, **choices: Any) -> None:
    """Put a version of a model into a volume as Kubernetes does: by one rename of the symbolic link `..data`."""
    hidden = volume / f"..{version}"
    hidden.mkdir(parents=True)
    make_small_artifact(hidden, version=version, **choices)
    new = volume / "..data_tmp"
    new.symlink_to(hidden.name)
    new.rename(volume / "..data")
    for file in hidden.iterdir():
        if not (volume / file.name).is_symlink():
            (volume / file.name).symlink_to(f"..data/{file.name}")


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_mounted_model_that_changes_is_loaded_by_every_worker_without_a_signal(tmp_path: Path, what: str) -> None:
    volume, version = tmp_path / "volume", "1"
    projected(volume, version)
    settings = {"model": volume / "small.pt" if what == "file" else volume, "reload_interval_s": 0.1}
    with serve(tmp_path, workers=2, **settings) as server:

        def said(what: str) -> int:
            return server.log.read_text().count(what)

        for version in ("2", "3"):
            projected(volume, version, prepare=scaled(float(version)))
            wait_for(f"version {version}", lambda version=version: said(f"Serving small {version}") == 2)  # type: ignore[misc]
        (volume / "..3" / "small.pt").write_bytes(b"nothing")
        wait_for("the refusal by each worker", lambda: said("Not reloaded") == 2)
        assert httpx.get(f"{server.url}/model").json()["version"] == "3"
        projected(volume, "4", prepare=scaled(4))
        wait_for("version 4", lambda: said("Serving small 4") == 2)
        assert said("Not reloaded") == 2, "a file that is refused is not tried again"


def test_a_file_in_a_folder_of_one_model_may_change_its_name(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    first = make_small_artifact(tmp_path / "model", name="1.pt", version="1")
    with serve(tmp_path, model=tmp_path / "model", reload_interval_s=0.1, workers=1) as server:
        make_small_artifact(tmp_path / "model", name="2.pt", version="2", prepare=scaled(2))
        wait_for("a refusal of two artifacts", lambda: "it holds these: 1.pt, 2.pt" in server.log.read_text())
        first.unlink()
        wait_for("the new one", lambda: httpx.get(f"{server.url}/model").json()["version"] == "2")
        (tmp_path / "model" / "2.pt").rename(tmp_path / "model" / "3.pt")
        wait_for("a refusal of one without a digest", lambda: "3.pt.sha256: cannot be read" in server.log.read_text())
        assert httpx.get(f"{server.url}/model").json()["version"] == "2"
