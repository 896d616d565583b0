"""Tests of access control: keys and their rotation, quotas, the admin's endpoints, CORS, and security headers."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.keys import line, new_key
from sine_client import AsyncClient, Client, ServiceError
from tests.artifacts import make_small_artifact
from tests.integration.test_hotpath import assert_alike, bodies, content_types, inference, methods
from tests.server import ROOT, Server, fails_to_start, serve, serve_both_ways
from tests.waiting import wait_for

pytestmark = pytest.mark.anyio

SEQUENCE = [0.5, 1.0, 0.25]
MAX_SEQUENCE, MAX_STEPS = 20, 30
ORIGIN = "https://page.example"
PREDICT = {"sequence": SEQUENCE}
INFER = {"inputs": [{"name": "sequence", "shape": [2, 3], "datatype": "FP64", "data": [SEQUENCE, SEQUENCE]}]}


class Shown(NamedTuple):
    """The keys in clear text, as their owners have them."""

    alice: str = new_key()
    second: str = new_key()
    admin: str = new_key()
    wrong: str = new_key()


KEYS = Shown()


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "keys").write_text(f"# who\n\n{line('alice', KEYS.alice)}\n{line('bob', KEYS.second)}\n")
    (folder / "admin").write_text(f"{line('root', KEYS.admin)}\n")
    return {"api_keys": folder / "keys", "admin_keys": folder / "admin"}


@pytest.fixture(scope="module")
def servers(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, ...]]:
    folder = tmp_path_factory.mktemp("both")
    model = make_small_artifact(folder)
    digest = model.with_name("small.pt.sha256").read_text().split()[0]
    limits = {"max_sequence": MAX_SEQUENCE, "max_steps": MAX_STEPS, "workers": 1, "cors_origins": ORIGIN, **files}
    limits |= {"model_sha256": f"{'0' * 64},{digest.upper()}"}
    with serve_both_ways(folder, model=model, **limits) as both:
        yield both


@pytest.fixture(scope="module")
def keyed(servers: tuple[Server, ...]) -> Server:
    return servers[0]


@given(
    method=methods,
    path=st.sampled_from(["/predict", "/generate"] * 4 + ["/v2/models/small/infer"] * 3 + ["/v2", "/no", "/", "/docs"]),
    content_type=content_types,
    body=bodies | inference,
    shown=st.sampled_from(
        [
            *[[f"Bearer {KEYS.alice}"]] * 4,
            *(
                [],
                [f"Bearer {KEYS.wrong}"],
                [f"bearer  {KEYS.alice}"],
                [f"Basic {KEYS.alice}"],
                [KEYS.alice],
                ["Bearer"],
            ),
            [f"Bearer {KEYS.alice}", f"Bearer {KEYS.wrong}"],
            [f"Bearer {KEYS.admin}"],
        ]
    )
    | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(lambda text: [text]),
    origin=st.sampled_from([None, ORIGIN, "https://elsewhere.example"]),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_both_ways_answer_alike(
    clients: tuple[httpx.AsyncClient, ...],
    method: str,
    path: str,
    content_type: str,
    body: bytes,
    shown: list[str],
    origin: str | None,
) -> None:
    headers = [(b"content-type", content_type.encode("latin-1")), (b"x-request-id", b"the-same")]
    headers += [(b"authorization", value.encode()) for value in shown]
    headers += [] if origin is None else [(b"origin", origin.encode())]
    await assert_alike(clients, method, path, headers, lambda: body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("POST", path) for path in ("/predict", "/generate", "/generate/stream", "/v2/models/small/infer")],
        *[
            ("GET", path)
            for path in ("/model", "/v2", "/v2/models/stats", "/metrics", "/admin", "/admin/reload", "/no")
        ],
        *[
            ("POST", "/admin/reload"),
            ("OPTIONS", "/predict"),
            ("GET", "//livez"),
            ("GET", "/livez/"),
            ("GET", "/docs/x"),
        ],
    ],
)
@pytest.mark.parametrize(
    "key", [None, KEYS.wrong, KEYS.alice[:-1], "", "\u00ff"], ids=["none", "wrong", "short", "empty", "not ASCII"]
)
def test_without_a_right_key_nothing_is_answered(keyed: Server, method: str, path: str, key: str | None) -> None:
    headers = [] if key is None else [(b"authorization", f"Bearer {key}".strip().encode("latin-1"))]
    answer = httpx.request(method, keyed.url + path, json=PREDICT, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    if path.startswith("/v2"):
        assert list(answer.json()) == ["error"]
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["title"], answer.json()["status"]) == ("Unauthorized", 401)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"])
def test_health_and_documentation_are_open(keyed: Server, path: str) -> None:
    assert httpx.get(keyed.url + path).status_code == 200


def test_the_document_says_where_a_key_is_wanted(keyed: Server, server: Server) -> None:
    document = httpx.get(f"{keyed.url}/openapi.json").json()
    assert document["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    wanted = {path for path, found in document["paths"].items() for each in found.values() if "security" in each}
    assert {"/predict", "/generate/stream", "/v2/models/{model}/infer", "/metrics"} <= wanted
    assert not wanted & {"/livez", "/readyz", "/v2/health/ready"}
    infer = document["paths"]["/v2/models/{model}/infer"]["post"]["responses"]
    assert infer["401"]["content"]["application/json"]["schema"]["$ref"].endswith("InferenceError")
    assert "securitySchemes" not in httpx.get(f"{server.url}/openapi.json").json()["components"]


def test_the_page_and_all_of_its_files_are_open(keyed: Server) -> None:
    assert "draw a wave" in httpx.get(keyed.url).text
    static = ROOT / "app" / "static"
    files = [*static.rglob("*.*")]
    assert len(files) > 5
    for file in files:
        assert httpx.get(f"{keyed.url}/{file.relative_to(static).as_posix()}").status_code == 200


@pytest.mark.parametrize("key", [KEYS.alice, KEYS.second], ids=["first", "second"])
def test_each_key_opens_everything_but_the_admins(keyed: Server, key: str) -> None:
    with httpx.Client(base_url=keyed.url, headers=bearer(key)) as client:
        assert client.post("/predict", json=PREDICT).status_code == 200
        assert client.post("/v2/models/small/infer", json=INFER).status_code == 200
        assert client.get("/no").status_code == 404
        assert [client.get(path).status_code for path in ("/metrics", "/admin", "/admin/reload")] == [401] * 3


def test_the_admins_key_opens_the_admins_endpoints_and_nothing_else(keyed: Server) -> None:
    with httpx.Client(base_url=keyed.url, headers=bearer(KEYS.admin)) as client:
        assert 'sine_refusals_total{reason="unauthorized"}' in client.get("/metrics").text
        assert client.get("/admin/no").status_code == 404
        assert client.post("/predict", json=PREDICT).status_code == 401


def test_there_is_no_admin_without_admin_keys(server: Server) -> None:
    assert httpx.get(f"{server.url}/metrics").status_code == 200
    assert httpx.post(f"{server.url}/admin/reload").status_code == 404


async def test_a_connection_needs_a_key_before_it_is_accepted(keyed: Server) -> None:
    url = keyed.url.replace("http", "ws") + "/live"
    for headers in ({}, bearer(KEYS.wrong)):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=headers)
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["www-authenticate"] == "Bearer"
    async with connect(url, additional_headers=bearer(KEYS.alice)) as socket:
        await socket.send("0.5")
        assert "prediction" in json.loads(await socket.recv())


def test_the_log_names_the_owner_of_the_key(keyed: Server) -> None:
    httpx.post(f"{keyed.url}/predict", json=PREDICT, headers=bearer(KEYS.second) | {"x-request-id": "whose"})
    httpx.get(f"{keyed.url}/livez", headers=bearer(KEYS.second) | {"x-request-id": "nobodys"})
    found = {each["request_id"]: each for each in waited_for(keyed, "whose", "nobodys")}
    assert found["whose"]["key"] == "bob"
    assert "key" not in found["nobodys"]


def waited_for(server: Server, *ids: str) -> list[dict[str, object]]:
    """Wait for the access lines of these requests, which the server writes after its answers."""

    def found() -> list[dict[str, object]]:
        lines = [json.loads(text) for text in server.log.read_text().splitlines()]
        return [each for each in lines if each["logger"] == "app.access" and each["request_id"] in ids]

    wait_for("the lines", lambda: len(found()) == len(ids))
    return found()


def test_keys_change_without_a_restart(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(line("alice", KEYS.alice))
    old, new = bearer(KEYS.alice), bearer(KEYS.second)

    def seen() -> tuple[int, ...]:
        return tuple(httpx.get(f"{server.url}/model", headers=each).status_code for each in (old, new))

    def answers(expected: tuple[int, int]) -> None:
        wait_for(f"{expected}", lambda: seen() == expected)

    with serve(tmp_path, model=make_small_artifact(tmp_path), workers=1, api_keys=keys) as server:
        answers((200, 401))
        keys.write_text(f"{line('alice', KEYS.alice)}\n{line('alice', KEYS.second)}\n")
        answers((200, 200))
        asyncio.run(outlived(server, keys))
        answers((401, 200))
        for spoiled in (f"{line('alice', KEYS.wrong)}\n{KEYS.wrong}\n", None):
            before = server.log.read_text().count("stay as they were")
            keys.unlink() if spoiled is None else keys.write_text(spoiled)

            def noticed(before: int = before) -> bool:
                assert seen() == (401, 200)
                return server.log.read_text().count("stay as they were") > before

            wait_for("the line about the file", noticed)
        keys.write_text("")
        answers((401, 401))
        assert "line 2 of the file of keys is not name:sha256" in server.log.read_text()
        assert KEYS.wrong not in server.log.read_text()


async def outlived(server: Server, keys: Path) -> None:
    """A connection ends with the next message after its key is removed."""
    async with connect(
        server.url.replace("http", "ws") + "/live", additional_headers=bearer(KEYS.alice), compression=None
    ) as socket:
        await socket.send("0.5")
        await socket.recv()
        keys.write_text(line("alice", KEYS.second))  # noqa: ASYNC240 - one line, and nothing else runs here

        async def talk() -> None:
            while True:
                await socket.send("0.5")
                await socket.recv()
                await asyncio.sleep(0.1)

        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(talk(), 60)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "the key is no longer known")


PER_SECOND, BURST_S = 10, 6


@pytest.fixture(scope="module")
def limited(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("limited")
    model = make_small_artifact(folder)
    rates = {"steps_per_second": PER_SECOND, "burst_s": BURST_S, "api_keys": files["api_keys"]}
    with serve(folder, model=model, workers=2, **rates) as server:
        yield server


COST = 5
"""The steps of each request that uses up the limit."""


def used_up(server: Server, key: str) -> tuple[int, httpx.Response]:
    """Return the steps that were allowed at once, with a connection for each request, and the first refusal."""
    each_its_own = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=server.url, headers=bearer(key), limits=each_its_own) as client:
        for asked in range(200):
            answer = client.post("/generate", json=PREDICT | {"steps": COST - len(SEQUENCE)})
            if answer.status_code != 200:
                return COST * asked, answer
    raise AssertionError("there is no limit")


def test_all_workers_share_one_limit_for_each_owner(limited: Server) -> None:
    began = time.monotonic()
    allowed, refused = used_up(limited, KEYS.alice)
    most = PER_SECOND * BURST_S
    assert most <= allowed <= most + PER_SECOND * (time.monotonic() - began) + COST
    assert refused.status_code == 429
    assert refused.json()["title"] == "Too Many Requests"
    assert f"{most} steps of the network in {BURST_S} s" in refused.json()["detail"]
    again_s = int(refused.headers["retry-after"])
    assert 1 <= again_s <= 2 * BURST_S
    headers = bearer(KEYS.alice)
    inferred = httpx.post(
        f"{limited.url}/v2/models/small/infer", json=INFER | {"parameters": {"steps": 25}}, headers=headers
    )
    assert (inferred.status_code, list(inferred.json())) == (429, ["error"])
    streamed = httpx.post(f"{limited.url}/generate/stream", json=PREDICT | {"steps": 50}, headers=headers)
    assert (streamed.status_code, streamed.headers["content-type"]) == (429, "application/problem+json")
    other = httpx.post(f"{limited.url}/generate", json=PREDICT | {"steps": 50}, headers=bearer(KEYS.second))
    assert other.status_code == 200
    time.sleep(again_s)
    again = httpx.post(f"{limited.url}/generate", json=PREDICT | {"steps": COST - len(SEQUENCE)}, headers=headers)
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/generate", PREDICT | {"steps": 58}, 422),
        ("/generate/stream", PREDICT | {"steps": 58}, 422),
        ("/v2/models/small/infer", INFER | {"parameters": {"steps": 28}}, 400),
    ],
)
def test_a_request_over_the_whole_limit_is_told_the_limit(
    limited: Server, path: str, body: object, status: int
) -> None:
    answer = httpx.post(limited.url + path, json=body, headers=bearer(KEYS.second))
    assert answer.status_code == status
    assert "retry-after" not in answer.headers
    assert f"at most {PER_SECOND * BURST_S} steps" in answer.text


async def test_messages_of_a_connection_are_counted(limited: Server) -> None:
    async with connect(
        limited.url.replace("http", "ws") + "/live", additional_headers=bearer(KEYS.second), compression=None
    ) as socket:
        for _ in range(1000):
            await socket.send(json.dumps(SEQUENCE[0]))
            answer = json.loads(await socket.recv())
            if "status" in answer:
                break
        assert answer["status"] == 429
        async with asyncio.timeout(10 * BURST_S):
            while "prediction" not in answer:
                await asyncio.sleep(1 / PER_SECOND)
                await socket.send("0.5")
                answer = json.loads(await socket.recv())


async def test_the_client_shows_its_key_and_waits_where_it_is_told_to(limited: Server, keyed: Server) -> None:
    with Client(keyed.url, patience_s=1) as stranger, pytest.raises(ServiceError) as refused:
        stranger.predict(SEQUENCE)
    assert refused.value.status == 401
    with Client(keyed.url, api_key=KEYS.alice) as client:
        assert client.model().name == "small"
        with client.stream(SEQUENCE, 5) as rollout:
            assert sum(len(part.values) for part in rollout) == 5
    async with AsyncClient(limited.url, api_key=KEYS.alice) as client_of_rates:
        for _ in range(2):  # more than the quota allows at once
            assert len((await client_of_rates.generate(SEQUENCE, PER_SECOND * BURST_S // 2)).values) > 0


def test_the_command_line_takes_the_key_from_the_environment(keyed: Server) -> None:
    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sine_client", "predict", "--url", keyed.url],
            input="0.5 1.0 0.25",
            env=os.environ | variables,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    assert float(run(SINE_API_KEY=KEYS.alice).stdout)
    refused = run(SINE_API_KEY=KEYS.wrong)
    assert (refused.returncode, "401" in refused.stderr, KEYS.wrong in refused.stderr) == (1, True, False)


@pytest.mark.parametrize("server_number", [0, 1])
def test_pages_of_allowed_origins_may_send_requests(servers: tuple[Server, ...], server_number: int) -> None:
    url = f"{servers[server_number].url}/predict"
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    allowed = httpx.options(url, headers={"origin": ORIGIN, **asked})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert httpx.options(url, headers={"origin": "https://elsewhere.example", **asked}).status_code == 400
    for key, status in ((KEYS.alice, 200), (KEYS.wrong, 401)):
        answer = httpx.post(url, json=PREDICT, headers={"origin": ORIGIN, **bearer(key)})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, ORIGIN)
        assert "access-control-allow-credentials" not in answer.headers
        exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
        assert {"Retry-After", "X-Request-Id"} <= exposed
        foreign = httpx.post(url, json=PREDICT, headers={"origin": "https://elsewhere.example", **bearer(key)})
        assert "access-control-allow-origin" not in foreign.headers


def test_other_origins_may_not_send_requests(server: Server) -> None:
    answer = httpx.post(f"{server.url}/predict", json=PREDICT, headers={"origin": ORIGIN})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/livez", "/predict", "/no", "/docs", "/", "/main.js", "/metrics", "/v2"])
def test_every_response_has_the_headers_that_browsers_heed(server: Server, path: str) -> None:
    answer = httpx.get(server.url + path)
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("x-frame-options") == ["DENY"]


def test_a_key_in_place_of_its_file_stops_the_start_and_is_not_logged(tmp_path: Path) -> None:
    status, log = fails_to_start(tmp_path, api_keys=KEYS.alice)
    assert status == 2
    assert "SINE_API_KEYS: the file of keys cannot be read: No such file" in log
    assert KEYS.alice not in log


def test_an_artifact_whose_digest_is_none_of_those_from_outside_is_not_served(tmp_path: Path, keyed: Server) -> None:
    """The server with keys accepts either of two digests, written in capitals."""
    assert httpx.get(f"{keyed.url}/model", headers=bearer(KEYS.alice)).status_code == 200
    model = make_small_artifact(tmp_path)
    status, log = fails_to_start(tmp_path, model=model, workers=1, model_sha256="0" * 64)
    assert status == 3
    assert f"but only {'0' * 64} may be served (SINE_MODEL_SHA256)" in log


def test_a_new_key_is_shown_once_and_its_line_works(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "app.keys", "carol"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    key = made.stderr.splitlines()[-1]
    assert key.startswith("sine_")
    assert len(key) == len("sine_") + 43
    assert made.stdout == f"{line('carol', key)}\n"
    assert key not in made.stdout
    wrong = subprocess.run([sys.executable, "-m", "app.keys", "a b"], cwd=ROOT, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")
