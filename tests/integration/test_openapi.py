"""Tests of the OpenAPI document against a real server: each refusal in it is provoked and compared with its example."""

import asyncio
import itertools
import json
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.api.guard import is_admin
from app.keys import line, new_key
from app.main import create_service
from app.server.http import HEAD_BYTES
from app.server.shedding import MAX_TAKEN
from app.settings import Settings
from tests.artifacts import make_small_artifact
from tests.integration.wire import Answer, accepted, answers, connected, post, stopped
from tests.keys import AS_ADMIN, admin_keys
from tests.server import Server, needs_edge, serve
from tests.waiting import wait_for

STEPS_PER_SECOND, BURST_S = 500, 10
MOST_STEPS = STEPS_PER_SECOND * BURST_S
"""The quota of each key."""

LONG = MOST_STEPS - 500
"""The values of a sequence too long for a forecast on the event loop. It takes more than half of the quota."""

KEYS = {f"owner-{number}": new_key() for number in range(50)}
"""The number of owners, larger than the number of requests that use up a quota."""

Operation = tuple[str, str]
"""A method and a path, with the parameters of the document in it."""

FORECASTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "/predict": lambda length: {"sequence": [0.5] * length},
    "/generate": lambda length: {"sequence": [0.5] * length, "steps": 1},
    "/generate/stream": lambda length: {"sequence": [0.5] * length, "steps": 1},
    "/forecast": lambda length: of_series([0.5] * length),
    "/v1/timeseries/forecast": lambda length: of_kserve([0.5] * length),
    "/v2/models/{model}/infer": lambda length: {"inputs": [tensor([0.5] * length)]},
    "/v2/models/{model}/versions/{version}/infer": lambda length: {"inputs": [tensor([0.5] * length)]},
}
"""The bodies for the paths that forecast, by the length of the sequence."""


def of_series(values: list[Any]) -> dict[str, Any]:
    return {"series": [{"unique_id": "a", "y": values}], "horizon": 1}


def of_kserve(values: list[Any], model: str = "small") -> dict[str, Any]:
    series = {"type": "univariate_time_series", "name": "a", "series": values, "frequency": "D"}
    return {"model": model, "inputs": [series], "options": {"horizon": 1}}


def tensor(values: list[float]) -> dict[str, Any]:
    return {"name": "sequence", "shape": [1, len(values)], "datatype": "FP64", "data": values}


@dataclass
class Place:
    """A server, and the things that make it refuse requests."""

    server: Server
    artifact: Path
    explosive: Server
    owners: Iterator[str]

    def ask(
        self, operation: Operation, body: object = None, headers: dict[str, str] | None = None, model: str = "small"
    ) -> Answer:
        """Return the answer to a new owner's request. Unlike httpx, it can announce a wrong length."""
        method, path = operation
        key = AS_ADMIN if is_admin(path) else {"authorization": f"Bearer {next(self.owners)}"}
        return send(self.server, method, filled(path, model), body, key | (headers or {}))


def filled(path: str, model: str = "small", version: str = "1") -> str:
    return path.replace("{model}", model).replace("{version}", version)


def send(server: Server, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    content = None if body is None else json.dumps(body).encode()
    connection.request(method, path, content, {"content-type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    return answer.status, {name.lower(): text for name, text in answer.getheaders()}, found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, explosive: Server) -> Iterator[Place]:
    """Run one worker with keys and quotas. It sheds early, waits two seconds for a request, and stops after a delay."""
    folder = tmp_path_factory.mktemp("openapi")
    keys = folder / "keys"
    keys.write_text("\n".join(line(owner, key) for owner, key in KEYS.items()))
    artifact = make_small_artifact(folder, hidden=64)
    access = {"api_keys": keys, "admin_keys": admin_keys(folder)}
    quota = {"steps_per_second": STEPS_PER_SECOND, "burst_s": BURST_S}
    limits = {"max_sequence": 2 * MOST_STEPS, "max_pending_s": 1e-6, "receive_timeout_s": 2, "drain_delay_s": 60}
    with serve(folder, model=artifact, workers=1, **access, **quota, **limits) as server:
        yield Place(server, artifact, explosive, itertools.cycle(KEYS.values()))
        server.process.send_signal(signal.SIGINT)  # a second signal ends the delay


@pytest.fixture(scope="module")
def document(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{place.server.url}/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> dict[Operation, dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_operation_has_a_summary_that_is_a_sentence_and_a_description(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        assert re.fullmatch(r"[A-Z][^.]+ [^.]+\.", operation["summary"]), name
        assert operation["description"].endswith("."), name
        assert operation["description"] != operation["summary"]


def test_every_refusal_has_an_example_with_its_status(document: dict[str, Any]) -> None:
    refusals = 0
    for (_, path), operation in operations(document).items():
        for status, response in operation["responses"].items():
            if status >= "400":
                ((media_type, content),) = response["content"].items()
                assert content["examples"]
                for example in content["examples"].values():
                    if media_type == "application/json":
                        assert path.startswith(("/v2", "/v1/timeseries"))
                        assert example["value"].keys() == {"error"}
                    else:
                        assert example["value"]["status"] == int(status)
                    refusals += 1
    assert refusals > 100


def test_the_events_of_a_stream_are_described_by_name(document: dict[str, Any]) -> None:
    (content,) = document["paths"]["/generate/stream"]["post"]["responses"]["200"]["content"].values()
    data = content["itemSchema"]["properties"]["data"]["contentSchema"]["anyOf"]
    names = [each["$ref"].rpartition("/")[2] for each in data]
    assert names == ["StreamedValues", "StreamEnd", "ProblemDetails"]
    schemas = document["components"]["schemas"]
    assert {"finish_reason", "state", "fit", "season", "warnings"} == schemas["StreamEnd"]["properties"].keys()
    assert {"values", "intervals"} == schemas["StreamedValues"]["properties"].keys()


def test_every_field_of_an_answer_that_may_be_absent_says_when(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("PredictResponse", "GenerateResponse", "StreamedValues", "StreamEnd", "ResponseParameters"):
        for field, schema in schemas[name]["properties"].items():
            if field not in schemas[name].get("required", ()):
                assert schema["description"].startswith("Only "), (name, field)


Provoke = Callable[[Place, Operation], Answer]


def invalid_request(place: Place, operation: Operation) -> Answer:
    if operation[1].startswith("/v2"):
        return place.ask(operation, {"inputs": [{"name": "sequence", "datatype": "FP64", "data": [1]}]})
    of_path = {"/forecast": of_series, "/v1/timeseries/forecast": of_kserve}.get(operation[1])
    if of_path:
        return place.ask(operation, of_path([0, 1, "2"]))
    return place.ask(operation, FORECASTS[operation[1]](1) | {"sequence": [0, 1, "2"]})  # as in the example


def diverged(place: Place, operation: Operation) -> Answer:
    sequence = [1.0, -1.0]
    body: dict[str, Any] = {"inputs": [tensor(sequence)]} if operation[1].startswith("/v2") else {"sequence": sequence}
    if operation[1] == "/forecast":
        body = of_series(sequence)
    elif operation[1] == "/v1/timeseries/forecast":
        body = of_kserve(sequence, httpx.get(f"{place.explosive.url}/model").json()["name"])
    return send(place.explosive, operation[0], filled(operation[1]), body)


def work_too_large(place: Place, operation: Operation) -> Answer:
    return place.ask(operation, FORECASTS[operation[1]](MOST_STEPS))


def unauthorized(place: Place, operation: Operation) -> Answer:
    return send(place.server, operation[0], filled(operation[1]))


def unknown_model(place: Place, operation: Operation) -> Answer:
    if operation[1] in FORECASTS and "{model}" not in operation[1]:
        return place.ask(operation, {**FORECASTS[operation[1]](1), "model": "other"})
    return place.ask(operation, model="other")


def unknown_version(place: Place, operation: Operation) -> Answer:
    return place.ask((operation[0], operation[1].replace("{version}", "2")))


def request_timeout(place: Place, operation: Operation) -> Answer:
    with connected(place.server) as client:
        client.sendall(f"{operation[0]} {filled(operation[1])} HTTP/1.1\r\nhost: x\r\n".encode())
        return answers(client, 1)[0]


def head_too_large(place: Place, operation: Operation) -> Answer:
    with connected(place.server) as client:
        head = f"{operation[0]} {filled(operation[1])} HTTP/1.1\r\nhost: x\r\nx: ".encode()
        client.sendall(head + b"x" * HEAD_BYTES)
        return answers(client, 1)[0]


def reload_refused(place: Place, operation: Operation) -> Answer:
    good = place.artifact.read_bytes()
    place.artifact.write_bytes(b"nothing")
    try:
        return place.ask(operation)
    finally:
        place.artifact.write_bytes(good)


def body_too_large(place: Place, operation: Operation) -> Answer:
    return place.ask(operation, headers={"content-length": "100000000"})


def unsupported_encoding(place: Place, operation: Operation) -> Answer:
    return place.ask(operation, {}, {"content-encoding": "br"})


def rate_exceeded(place: Place, operation: Operation) -> Answer:
    key = {"authorization": f"Bearer {next(place.owners)}"}
    body = FORECASTS[operation[1]](LONG)
    for _ in range(5):  # the quota's window may end between two requests
        answer = send(place.server, operation[0], filled(operation[1]), body, key)
        if answer[0] != 200:
            break
    return answer


def overloaded(place: Place, operation: Operation) -> Answer:
    """The server sheds a POST request that arrives together with more requests than a turn of its event loop takes."""
    more = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" * (2 * MAX_TAKEN // 16)
    with accepted(place.server, 17) as (last, *others):
        with stopped(place.server):
            for client in others:
                client.sendall(more)
            last.sendall(post(b"{}", path=filled(operation[1])))
        return answers(last, 1)[0]


def deadline_exceeded(place: Place, operation: Operation) -> Answer:
    limit = {"parameters": {"timeout": 1}} if operation[1].startswith("/v2") else {"timeout_s": 1e-6}
    return place.ask(operation, FORECASTS[operation[1]](LONG) | limit)


def not_ready(place: Place, operation: Operation) -> Answer:
    """Ask a draining server for its readiness, and an application that has not started for everything else.

    A server without a model has no socket, so the application is called without one.
    """
    if "ready" in operation[1]:
        readyz = f"{place.server.url}/readyz"
        if httpx.get(readyz).status_code == 200:
            place.server.process.send_signal(signal.SIGTERM)
            wait_for("the server to drain", lambda: httpx.get(readyz).status_code == 503)
        return place.ask(operation)

    async def ask() -> Answer:
        service = create_service(Settings(admin_keys=place.artifact.with_name("admin.keys"), access_log=False))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://x") as client:
            headers = AS_ADMIN if is_admin(operation[1]) else {}
            response = await client.request(operation[0], filled(operation[1]), json={}, headers=headers)
        return response.status_code, {**response.headers}, response.content

    return asyncio.run(ask())


PROVOCATIONS: dict[str, Provoke] = {
    each.__name__: each
    for each in (
        *(invalid_request, diverged, work_too_large, unauthorized, unknown_model, unknown_version, request_timeout),
        *(head_too_large, reload_refused, body_too_large, unsupported_encoding, rate_exceeded, overloaded),
        *(deadline_exceeded, not_ready),  # the last two, because the server then stops
    )
}

NO_RESOURCES = "no test can take memory or threads from one request alone; tests/reliability/test_scarcity.py tries"
NO_STEPS = "the request costs no steps of the network, so no quota refuses it"
NEVER = {
    **{("exhausted", path): NO_RESOURCES for path in (*FORECASTS, "/metrics", "/v2", "/v2/health/live")},
    **{("rate_exceeded", path): NO_STEPS for path in ("/model", "/models", "/v2", "/v2/models/stats")},
    ("rate_exceeded", "/v2/repository/index"): NO_STEPS,
    ("rate_exceeded", "/v1/timeseries/models"): NO_STEPS,
    ("deadline_exceeded", "/v1/timeseries/forecast"): "a request of this protocol has no deadline of its own",
    **{
        ("rate_exceeded", f"/v2/models/{{model}}{version}{what}"): NO_STEPS
        for version in ("", "/versions/{version}")
        for what in ("", "/ready", "/config", "/stats")
    },
}
"""The refusals in the document that no test can provoke, each with the reason."""


def examples(document: dict[str, Any], kind: str) -> list[tuple[Operation, str, str, dict[str, Any], dict[str, Any]]]:
    """Return all examples of a kind of refusal: operation, status, media type, headers, body."""
    return [
        (name, status, media_type, response.get("headers", {}), content["examples"][kind]["value"])
        for name, operation in operations(document).items()
        for status, response in operation["responses"].items()
        for media_type, content in response["content"].items()
        if kind in content.get("examples", {})
    ]


def test_every_refusal_is_provoked_or_has_a_reason_why_not(document: dict[str, Any]) -> None:
    kinds = {
        kind
        for operation in operations(document).values()
        for response in operation["responses"].values()
        for content in response["content"].values()
        for kind in content.get("examples", {})
    }
    assert kinds == PROVOCATIONS.keys() | {kind for kind, _ in NEVER}
    assert NEVER.keys() <= {(kind, path) for kind in kinds for (_, path), *_ in examples(document, kind)}


EDGE = {"request_timeout", "head_too_large", "overloaded"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=needs_edge if kind in EDGE else ()) for kind in PROVOCATIONS]
)
def test_a_refusal_is_answered_as_its_example_shows(place: Place, document: dict[str, Any], kind: str) -> None:
    asked = [each for each in examples(document, kind) if (kind, each[0][1]) not in NEVER]
    assert asked
    with ThreadPoolExecutor(len(asked) if kind == "request_timeout" else 1) as asking:  # each waits for two seconds
        answered = [*asking.map(lambda each: PROVOCATIONS[kind](place, each[0]), asked)]
    for (operation, status, media_type, headers, body), answer in zip(asked, answered, strict=True):
        found = str(answer[0]), answer[1]["content-type"], without_details(json.loads(answer[2]))
        assert found == (status, media_type, without_details(body)), operation
        if answer[0] != 503 or kind != "deadline_exceeded":  # below /v2, it shares 503 with refusals to be retried
            assert {name.lower() for name in headers} <= answer[1].keys(), operation


def without_details(value: Any) -> Any:
    """Return the body with all numbers, names and files in its texts made alike."""
    if isinstance(value, dict):
        return {name: without_details(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_details(each) for each in value]
    if not isinstance(value, str):
        return value
    value = re.sub(r"\S+\.pt", "FILE", re.sub(r"'[^']*'", "NAME", value))
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "N", value)
