"""Tests of several models: every endpoint finds each by its name, and a default serves requests that name none."""

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_sync

from model.artifact import digest_path, read_artifact
from sine_client import AsyncClient, ServiceError
from tests.artifacts import make_small_artifact
from tests.metrics import by_label, total
from tests.server import Server, fails_to_start, serve
from tests.waiting import wait_for

pytestmark = pytest.mark.anyio

SEQUENCE = [0.1, 0.25, 0.2]
NAMES = ["first", "second", "third"]
UNKNOWN = "unknown model: the served models are 'first', 'second', 'third'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make three models that answer differently. The first is the default, and is in the folder as well."""
    folder = tmp_path_factory.mktemp("models")
    for by, name in enumerate(NAMES, start=1):
        make_small_artifact(
            folder,
            name=f"{name}.pt",
            called=name,
            version=f"0.{by}",
            prepare=lambda network, by=by: network.readout.weight.mul_(by),  # type: ignore[misc]
        )
    (folder / "notes.txt").write_text("no artifact")
    return folder


@pytest.fixture(scope="module", params=[True, False], ids=["hot path", "FastAPI"])
def server(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"model": folder / "first.pt", "models": folder, "hot_path": request.param, "workers": 1}
    with serve(tmp_path_factory.mktemp("server"), **settings) as server:
        yield server


@pytest.fixture(scope="module")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client


def version(folder: Path, name: str) -> str:
    return f"0.{NAMES.index(name) + 1}+{read_artifact(folder / f'{name}.pt').digest[:12]}"


def live(server: Server, query: str = "") -> connect:
    return connect(f"{server.url.replace('http', 'ws')}/live{query}", compression=None)


async def test_each_model_answers_by_its_name_and_says_which_it_is(client: httpx.AsyncClient, folder: Path) -> None:
    predictions = []
    for name in (None, *NAMES):
        asked = {"sequence": SEQUENCE} | ({} if name is None else {"model": name})
        predicted = await client.post("/predict", json=asked)
        generated = await client.post("/generate", json={**asked, "steps": 3})
        streamed = await client.post("/generate/stream", json={**asked, "steps": 3})
        for answer in (predicted, generated, streamed):
            assert answer.status_code == 200
            assert answer.headers.get_list("x-model-version") == [version(folder, name or "first")]
        predictions.append(predicted.json()["prediction"])
        assert generated.json()["values"][0] == predictions[-1]
        assert json.dumps(generated.json()["values"], separators=(",", ":")) in streamed.text
    assert predictions[0] == predictions[1]
    assert len(set(predictions)) == len(NAMES)


@pytest.mark.parametrize("path", ["/predict", "/generate", "/generate/stream"])
async def test_an_unknown_name_is_404_with_the_names_that_are_served(client: httpx.AsyncClient, path: str) -> None:
    body = {"sequence": SEQUENCE, "model": "planted"} | ({} if path == "/predict" else {"steps": 1})
    answer = await client.post(path, json=body)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert UNKNOWN in answer.json()["detail"]
    assert "planted" not in answer.text
    assert (await client.post(path, json={**body, "model": 3})).status_code == 422


async def test_every_model_is_under_its_name_in_the_open_inference_protocol(
    client: httpx.AsyncClient, folder: Path
) -> None:
    index = (await client.post("/v2/repository/index")).json()
    assert [entry["name"] for entry in index] == NAMES
    body = {"inputs": [{"name": "sequence", "datatype": "FP64", "shape": [1, 3], "data": SEQUENCE}]}
    for asked, name in enumerate(NAMES, start=1):
        expected = (await client.post("/predict", json={"sequence": SEQUENCE, "model": name})).json()["prediction"]
        for path in [f"/v2/models/{name}/infer", f"/v2/models/{name}/versions/1/infer"] * asked:
            answer = await client.post(path, json=body)
            assert answer.json()["model_name"] == name
            assert answer.json()["outputs"][0]["data"] == [expected]
            assert answer.headers.get_list("x-model-version") == [version(folder, name)]
        assert (await client.get(f"/v2/models/{name}")).json()["name"] == name
    for path in ("/v2/models/planted", "/v2/models/planted/versions/7"):
        unknown = await client.get(path)
        assert (unknown.status_code, UNKNOWN in unknown.json()["error"]) == (404, True)
        assert "planted" not in unknown.text
    statistics = (await client.get("/v2/models/stats")).json()["model_stats"]
    counts = [(model["name"], model["inference_count"]) for model in statistics]
    assert counts == [("first", 2), ("second", 4), ("third", 6)]
    assert (await client.get("/v2/models/second/stats")).json()["model_stats"] == [statistics[1]]
    exposed = (await client.get("/metrics")).text
    assert total(exposed, "sine_inference_sequences_total", model="third") == 6


async def test_the_models_are_listed_with_the_default_first(
    client: httpx.AsyncClient, server: Server, folder: Path
) -> None:
    listed = (await client.get("/models")).json()
    assert listed["default"] == "first"
    assert [model["name"] for model in listed["models"]] == NAMES
    assert (await client.get("/model")).json() == listed["models"][0]
    exposed = (await client.get("/metrics")).text
    for name in NAMES:
        digest = read_artifact(folder / f"{name}.pt").digest
        assert total(exposed, "sine_model_info", name=name, digest=digest) == 1


async def test_the_client_asks_for_a_model(server: Server, folder: Path) -> None:
    async with AsyncClient(server.url) as client:
        assert [model.name for model in (await client.models()).models] == NAMES
        second = await client.generate(SEQUENCE, 20, model="second")
        assert second != await client.generate(SEQUENCE, 20)
        async with client.stream(SEQUENCE, 20, model="second") as rollout:
            assert [value async for part in rollout for value in part.values] == second.values
        with pytest.raises(ServiceError, match="unknown model"):
            await client.predict(SEQUENCE, model="planted")
        first = await client.predict(SEQUENCE, return_state=True)
        with pytest.raises(ServiceError, match="of another model"):
            await client.predict([0.3], state=first.state, model="second")


def test_the_command_line_asks_for_a_model(server: Server) -> None:
    def printed(*arguments: str) -> str:
        command = [sys.executable, "-m", "sine_client", *arguments, "--url", server.url]
        return subprocess.run(command, input="0.1 0.25 0.2", capture_output=True, text=True, check=True).stdout

    assert printed("models").split() == NAMES
    assert printed("predict", "--model", "first") == printed("predict") != printed("predict", "--model", "second")


async def test_a_connection_uses_the_model_in_its_address_until_a_message_names_another(
    client: httpx.AsyncClient, server: Server, folder: Path
) -> None:
    async def predicted(sequence: list[float], model: str) -> Any:
        return (await client.post("/predict", json={"sequence": sequence, "model": model})).json()

    for query, name in (("", "first"), ("?model=second", "second")):
        async with live(server, query) as socket:
            assert socket.response is not None
            assert socket.response.headers["x-model-version"] == version(folder, name)

            async def ask(message: object) -> Any:
                await socket.send(json.dumps(message))
                return json.loads(await socket.recv())

            assert await ask(0.1) == await predicted([0.1], name)
            assert await ask({"sequence": [0.2], "model": name}) == await predicted([0.1, 0.2], name)
            assert UNKNOWN in (await ask({"sequence": [0.3], "model": "planted"}))["detail"]
            assert await ask(0.3) == await predicted([0.1, 0.2, 0.3], name)
            assert await ask({"sequence": [0.4], "model": "third"}) == await predicted([0.4], "third")
            assert await ask(0.5) == await predicted([0.4, 0.5], "third")
    with pytest.raises(InvalidStatus) as refused:
        async with live(server, "?model=planted"):
            pass
    assert refused.value.response.status_code == 404
    assert UNKNOWN in refused.value.response.body.decode()


def test_a_model_answers_by_a_second_name_as_by_its_own(tmp_path: Path, folder: Path) -> None:
    settings = {"model": folder / "first.pt", "models": folder, "model_name": "forecasts", "workers": 1}
    tensor = {"inputs": [{"name": "sequence", "datatype": "FP64", "shape": [1, 3], "data": SEQUENCE}]}
    with serve(tmp_path, **settings) as server, httpx.Client(base_url=server.url) as client:
        for path, body in (("/predict", {}), ("/generate", {"steps": 3}), ("/generate/stream", {"steps": 3})):
            own, second = (
                client.post(path, json={"sequence": SEQUENCE, "model": name, **body}) for name in ("first", "forecasts")
            )
            assert (own.status_code, own.content) == (second.status_code, second.content)
            assert own.status_code == 200
        for path in ("infer", "versions/1/infer"):
            own, second = (client.post(f"/v2/models/{name}/{path}", json=tensor) for name in ("first", "forecasts"))
            assert (own.status_code, own.content) == (200, second.content)
        for path in ("", "/ready", "/config", "/stats"):
            own, second = (client.get(f"/v2/models/{name}{path}") for name in ("first", "forecasts"))
            assert (own.status_code, own.content) == (200, second.content)
        assert [model["name"] for model in client.get("/models").json()["models"]] == NAMES
        assert "'third', 'forecasts'" in client.get("/v2/models/planted").json()["error"]
        with connect_sync(f"{server.url.replace('http', 'ws')}/live?model=forecasts") as socket:
            for name in ("forecasts", "first", "forecasts"):  # one sequence, whichever name each message gives
                socket.send(json.dumps({"sequence": [0.1], "model": name}))
                answer = json.loads(socket.recv())
        assert answer == client.post("/predict", json={"sequence": [0.1] * 3}).json()


def test_a_second_name_that_another_model_has_stops_the_start(tmp_path: Path, folder: Path) -> None:
    settings = {"model": folder / "first.pt", "models": folder, "model_name": "second", "workers": 1}
    status, log = fails_to_start(tmp_path, **settings)
    assert status == 3
    assert f"{folder / 'second.pt'}: its model has the name 'second' that SINE_MODEL_NAME gives" in log


def test_a_folder_with_one_artifact_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    artifact = make_small_artifact(tmp_path / "model", name="any-name.pt")
    (tmp_path / "model" / "README").touch()
    with serve(tmp_path, model=tmp_path / "model", models=tmp_path / "model", workers=1) as server:
        (model,) = httpx.get(f"{server.url}/models").json()["models"]
    assert model["digest"] == read_artifact(artifact).digest


def test_a_folder_with_no_artifact_or_several_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    status, log = fails_to_start(tmp_path, model=tmp_path / "model", workers=1)
    assert status == 3
    assert f"{tmp_path / 'model'}: a folder as SINE_MODEL has to hold one artifact (*.pt), and it holds none" in log
    for name in ("a.pt", "b.pt"):
        make_small_artifact(tmp_path / "model", name=name)
    status, log = fails_to_start(tmp_path, model=tmp_path / "model", workers=1)
    assert status == 3
    assert "and it holds these: a.pt, b.pt; SINE_MODELS serves all artifacts of a folder" in log


def test_two_files_of_one_name_stop_the_start_and_are_both_named(tmp_path: Path) -> None:
    one, other = (make_small_artifact(tmp_path, name=name) for name in ("one.pt", "other.pt"))
    status, log = fails_to_start(tmp_path, model=one, models=tmp_path, workers=1)
    assert status == 3
    assert f"{one} and {other} both hold a model named 'small'" in log


def test_a_file_that_cannot_be_served_stops_the_start_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    good = make_small_artifact(tmp_path)
    bad = make_small_artifact(tmp_path / "bad", called="bad", spoil=lambda network: network.readout.weight.mul_(1.01))
    status, log = fails_to_start(tmp_path, model=good, models=bad.parent, workers=1)
    assert status == 3
    assert f"while loading {bad}" in log


def copies(folder: Path, count: int) -> Path:
    """Make so many artifacts of the same network with names of their own in `folder`, and return the first one."""
    first = make_small_artifact(folder, name="m000.pt", called="m000")
    with zipfile.ZipFile(first) as archive:
        entries = {entry: archive.read(entry) for entry in archive.infolist()}
    for number in range(1, count):
        name = f"m{number:03}"
        path = first.with_name(f"{name}.pt")
        with zipfile.ZipFile(path, "w") as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content.replace(b'"m000"', f'"{name}"'.encode()))
        digest_path(path).write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    return first


@pytest.mark.parametrize("workers", [1, 2])
def test_more_models_than_the_setting_allows_stop_the_start(tmp_path: Path, workers: int) -> None:
    first = copies(tmp_path, 65)
    status, log = fails_to_start(tmp_path, model=first, models=tmp_path, workers=workers)
    assert status == 3
    (line,) = log.splitlines()
    assert f"{tmp_path}: 65 models, with that of SINE_MODEL, are more than the 64 that SINE_MAX_MODELS allows" in line


def test_more_than_64_models_are_served_and_counted_where_the_setting_allows_it(tmp_path: Path) -> None:
    first = copies(tmp_path, 68)
    with serve(tmp_path, model=first, models=tmp_path, max_models=68, workers=2) as server:
        names = [model["name"] for model in httpx.get(f"{server.url}/models").json()["models"]]
        assert names == [f"m{number:03}" for number in range(68)]
        asked = {"inputs": [{"name": "sequence", "shape": [1, 3], "datatype": "FP64", "data": SEQUENCE}]}
        for number in range(40, 68):
            answer = httpx.post(f"{server.url}/v2/models/m{number:03}/infer", json=asked)
            assert answer.status_code == 200
        for _ in range(10):  # whichever worker answers

            def counted() -> bool:
                exposed = httpx.get(f"{server.url}/metrics").text
                counts = by_label(exposed, "sine_inference_sequences_total", "model")
                return [counts.get(name, 0) for name in names] == [0] * 40 + [1] * 28

            wait_for("each of them to be counted once", counted)


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    status, log = fails_to_start(tmp_path, model=make_small_artifact(tmp_path), models=tmp_path / "none", workers=1)
    assert status == 3
    assert "the folder of the models cannot be read" in log
