"""Tests that no key, query, value or token of a client gets into a log, an error, a metric or a trace.

Each place where a request can hold a secret holds a distinct one, in requests that succeed, are refused and fail, at
log level debug. The test then searches everything that the service writes for all of them.
"""

import json
import shutil
import struct
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.keys import line, new_key
from tests.artifacts import make_small_artifact
from tests.integration.receiver import Receiver, exporting_to
from tests.server import Server, serve
from tests.waiting import wait_for

KEY, OTHER, ADMIN, WRONG = new_key(), new_key(), new_key(), new_key()
QUERY, HEADER, BODY, MESSAGE = "planted-query", "planted-header", "planted-body", "planted-message"
VALUE = 0.73205080756887
"""A sequence's value, which equals no number of the service's own."""

SECRETS = [KEY, OTHER, ADMIN, WRONG, QUERY, HEADER, BODY, MESSAGE, str(VALUE)]


@pytest.fixture(scope="module", params=["json", "text"])
def server(
    request: pytest.FixtureRequest, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Run a server that logs as much as it can: in JSON with the hot path and traces, or in text without both."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "keys").write_text(f"{line('alice', KEY)}\n{line('bob', OTHER)}\n")
    (folder / "admin").write_text(line("root", ADMIN))
    as_json = request.param == "json"
    with exporting_to(receiver), pytest.MonkeyPatch.context() as patch:
        # The test removes this folder later, so that a valid request fails.
        patch.setenv("TMPDIR", str(folder))
        with serve(
            folder,
            model=make_small_artifact(folder),
            workers=1,
            log_level="debug",
            log_format=request.param,
            tracing=as_json,
            hot_path=as_json,
            api_keys=folder / "keys",
            admin_keys=folder / "admin",
            steps_per_second=1000,
        ) as running:
            yield running


def headers(key: str = KEY) -> dict[str, str]:
    return {
        "authorization": f"Bearer {key}",
        "cookie": f"session={HEADER}",
        "user-agent": HEADER,
        "referer": f"https://{HEADER}.example",
        "x-forwarded-for": HEADER,
        "traceparent": HEADER,
        "x-request-id": f"{HEADER}!",
        "content-type": "application/json",
    }


def binary(values: list[float]) -> tuple[bytes, dict[str, str]]:
    """Return an inference request with a binary tensor, and the header that says where the tensor begins."""
    raw = struct.pack(f"<{len(values)}d", *values)
    tensor = {"name": "sequence", "shape": [1, len(values)], "datatype": "FP64"}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}], "id": BODY}).encode()
    return head + raw, {"inference-header-content-length": str(len(head))}


def talk(server: Server) -> None:
    """Open a connection with valid and invalid messages, and one that is refused."""
    url = f"{server.url.replace('http', 'ws')}/live?token={QUERY}"

    def given(key: str) -> dict[str, str]:
        return {name: value for name, value in headers(key).items() if name != "user-agent"}

    with connect(url, additional_headers=given(KEY), user_agent_header=HEADER) as socket:
        for message in (str(VALUE), MESSAGE, f'{{"sequence": [{VALUE}], "state": "{MESSAGE}"}}', MESSAGE.encode()):
            socket.send(message)
            assert MESSAGE not in str(socket.recv(10))
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers=given(WRONG), user_agent_header=HEADER)
    assert refused.value.response.body
    assert not [secret for secret in SECRETS if secret.encode() in refused.value.response.body]


def refusals(server: Server, token: str) -> list[httpx.Response]:
    """Return the answers to invalid requests that hold secrets. Each is invalid in a way of its own."""
    wrong = [
        f'{{"sequence": [{VALUE}, "{BODY}"], "{BODY}": 1}}',
        BODY,
        f'{{"sequence": [{VALUE}], "state": "{BODY}"}}',
        f'{{"sequence": [{VALUE}], "state": "{token[:-4]}"}}',
        f'{{"sequence": [{VALUE}], "steps": 999999, "level": ["{BODY}"]}}',
        f'{{"inputs": [{{"name": "{BODY}", "shape": [1, 1], "datatype": "FP64", "data": [{VALUE}]}}]}}',
        f'{{"sequence": [{VALUE}], "steps": 9000}}',
        f'{{"sequence": [{VALUE}], "state": "{BODY * 100_000}"}}',
    ]
    paths = ["/predict", "/generate", "/generate/stream", "/v2/models/small/infer", f"/v2/models/{QUERY}/infer", "/no"]
    with httpx.Client(base_url=server.url, timeout=30) as client:
        answers = [
            client.post(f"{path}?token={QUERY}", content=body, headers=headers(key))
            for path in paths
            for body in wrong
            for key in (KEY, WRONG)
        ]
        answers += [client.get(f"/{QUERY}/%0a{QUERY}", headers=headers(key)) for key in (KEY, WRONG)]
        answers += [client.request(QUERY, "/predict", headers=headers()) for _ in range(2)]
    return [answer for answer in answers if answer.status_code >= 400]


def test_no_secret_is_disclosed(server: Server, receiver: Receiver) -> None:
    told: list[bytes] = []
    body = {"sequence": [VALUE, VALUE / 2], "return_state": True}
    answer = httpx.post(f"{server.url}/predict?token={QUERY}", json=body, headers=headers())
    assert answer.status_code == 200
    token = answer.json()["state"]
    secrets = [*SECRETS, token, token[:60]]
    going_on = {"sequence": [VALUE], "state": token, "steps": 700}
    for path in ("/generate", "/generate/stream"):
        assert httpx.post(server.url + path, json=going_on, headers=headers()).status_code == 200
    content, more = binary([VALUE] * 3)
    inferred = httpx.post(f"{server.url}/v2/models/small/infer", content=content, headers=headers() | more)
    assert inferred.status_code == 200
    talk(server)

    refused = refusals(server, token)
    assert {401, 404, 413, 422, 429} <= {answer.status_code for answer in refused}
    told += [answer.content + str(answer.headers).encode() for answer in refused]

    metrics = httpx.get(f"{server.url}/metrics?{QUERY}", headers=headers(ADMIN))
    assert 'reason="unauthorized"' in metrics.text
    told.append(metrics.content)
    # This removes the folder of the shared counters. The service has not opened bob's file yet.
    shutil.rmtree(next(path for path in server.log.parent.glob("sine-*") if path.is_dir()))
    failed = []
    for path in ("/predict", "/generate", "/generate/stream", "/v2/models/small/infer"):
        content = json.dumps(
            {"sequence": [VALUE], "state": token} | ({} if path == "/predict" else {"steps": 3})
        ).encode()
        more = {}
        if path.startswith("/v2"):
            content, more = binary([VALUE] * 3)
        failed.append(httpx.post(f"{server.url}{path}?{QUERY}", content=content, headers=headers(OTHER) | more))
    assert {answer.status_code for answer in failed} == {500}
    told += [answer.content + str(answer.headers).encode() for answer in failed]

    httpx.get(f"{server.url}/livez", headers={"x-request-id": "the-last"})
    wait_for("the last line", lambda: "the-last" in server.log.read_text())
    log = server.log.read_text()
    as_json = log.startswith("{")
    assert log.count("FileNotFoundError") >= len(failed), "the log names each failure"
    assert ('"key":"alice"' if as_json else ", key of alice") in log, "the log names the key's owner"
    assert "without completing handshake" not in log, "a refused connection is not logged as a fault"
    told.append(log.encode())
    if as_json:
        receiver.waited_for(lambda span: True, 20)
        told += receiver.bodies
    for secret in secrets:
        assert not [text for text in told if secret.encode() in text], secret
