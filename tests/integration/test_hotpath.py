"""Tests that the hot path is only an optimisation: the service answers alike with it and without it."""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.artifact import read_artifact
from model.runtime.select import open_runtime
from tests.artifacts import make_small_artifact, some_intervals
from tests.server import Server, serve_both_ways

pytestmark = pytest.mark.anyio

MAX_SEQUENCE, MAX_STEPS = 20, 30


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, ...]]:
    limits: dict[str, object] = {"max_sequence": MAX_SEQUENCE, "max_steps": MAX_STEPS, "workers": 1}
    folder = tmp_path_factory.mktemp("both")
    model = make_small_artifact(folder, intervals=some_intervals())
    other = make_small_artifact(folder, name="others/lstm.pt", called="lstm", cell="lstm")
    limits["models"] = other.parent
    for path in (model, other):
        # This puts the kernels into the cache. Otherwise /model would differ in whether a kernel came from it.
        open_runtime(read_artifact(path), "cpu", "auto")
    with serve_both_ways(folder, model=model, **limits) as both:
        yield both


values = st.one_of(st.floats(-1e15, 1e15), st.integers(-(10**15), 10**15), st.sampled_from([-0.0, 5e-324, 1e15]))
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
sequences = st.lists(values, min_size=1, max_size=MAX_SEQUENCE)
good = st.fixed_dictionaries(
    {"sequence": sequences, "steps": st.integers(1, MAX_STEPS)},
    optional={
        "timeout_s": st.floats(0.5, 60),
        "level": st.lists(st.integers(1, 99), min_size=1, max_size=4),
        "return_state": st.none() | st.booleans(),
        "model": st.sampled_from(["small", "lstm", "lstm", None, "other"]),
    },
)
nearly = st.fixed_dictionaries(
    {},
    optional={
        "sequence": sequences | st.lists(values | anything, max_size=MAX_SEQUENCE + 2) | anything,
        "steps": st.integers(-2, MAX_STEPS + 2) | anything,
        "timeout_s": anything,
        "level": st.lists(st.integers(-1, 101), max_size=3) | anything,
        "state": st.text("AB01_-=", max_size=80) | anything,
        "return_state": anything,
        "model": st.sampled_from(["small", "lstm"]) | anything,
        "other": anything,
    },
)
bodies = st.one_of(
    good.map(lambda body: json.dumps(body).encode()),
    good.map(lambda body: json.dumps({"sequence": body["sequence"]}).encode()),
    nearly.map(lambda body: json.dumps(body).encode()),
    anything.map(lambda body: json.dumps(body).encode()),
    st.binary(max_size=50),
    st.just(b" " * 10_000),
)
content_types = st.sampled_from(
    [*["application/json"] * 5, "application/json; charset=utf-8", "text/plain", "APPLICATION/json", "", "\u00e9"]
)
codings = st.sampled_from([*[None] * 5, "gzip", "identity", "br", "", "identity, gzip"])
paths = st.sampled_from(["/predict", "/generate"] * 5 + ["/predict/", "/generate?x=1", "/model", "/readyz", "/no"])
methods = st.sampled_from(["POST"] * 8 + ["GET", "PUT", "OPTIONS", "HEAD", "DELETE"])


async def assert_alike(
    clients: tuple[httpx.AsyncClient, ...],
    method: str,
    path: str,
    headers: Any,
    content: Callable[[], bytes | AsyncIterator[bytes]],
) -> None:
    """Check that both ways give the same status below 500, headers and body. `content` makes a body for each."""
    answers = []
    for client in clients:
        response = await client.request(method, path, content=content(), headers=headers)
        headers_back = [(name, value) for name, value in response.headers.raw if name != b"date"]
        answers.append((response.status_code, headers_back, response.content))
    assert answers[0] == answers[1]
    assert answers[0][0] < 500


@given(method=methods, path=paths, content_type=content_types, coding=codings, body=bodies, chunked=st.booleans())
@settings(
    max_examples=5 * settings().max_examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_both_ways_answer_alike(
    clients: tuple[httpx.AsyncClient, ...],
    method: str,
    path: str,
    content_type: str,
    coding: str | None,
    body: bytes,
    chunked: bool,
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield body[:3]
        yield body[3:]

    headers = [(b"content-type", content_type.encode("latin-1")), (b"x-request-id", b"the-same")]
    if coding is not None:
        headers.append((b"content-encoding", coding.encode()))
    await assert_alike(clients, method, path, headers, lambda: parts() if chunked else body)


tensors = st.tuples(st.integers(1, 3), st.integers(1, 5), st.sampled_from(["FP32", "FP64"])).flatmap(
    lambda drawn: st.lists(
        st.floats(-1e6, 1e6, width=32), min_size=drawn[0] * drawn[1], max_size=drawn[0] * drawn[1]
    ).map(lambda data: {"name": "sequence", "shape": [*drawn[:2]], "datatype": drawn[2], "data": data})
)
inference = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, min_size=1, max_size=1)},
    optional={
        "id": st.text(max_size=5) | anything,
        "parameters": st.fixed_dictionaries(
            {},
            optional={
                "steps": st.none() | st.integers(-1, MAX_STEPS + 2),
                "binary_data_output": st.none() | st.booleans(),
            },
        )
        | anything,
        "outputs": st.just([{"name": "values", "parameters": {"binary_data": True}}]) | anything,
    },
).map(lambda body: json.dumps(body).encode())
model_paths = st.sampled_from(
    [
        *["/v2/models/small/infer", "/v2/models/small/versions/1/infer", "/v2/models/lstm/infer"] * 3,
        *("/v2/models/other/infer", "/v2/models/small/versions/2/infer", "/v2/models/small/infer/", "/v2//infer"),
        *("/v2/models/small%2Finfer", "/v2/models/small/infer?x=1"),
    ]
)


@given(
    method=methods,
    path=model_paths,
    body=inference | inference | bodies,
    header=st.sampled_from([None, None, "5", "right", "x", ""]),
    raw=st.sampled_from([b"", b"", b"\0" * 8]),
    sent=st.sampled_from([None, None, "gzip", "br", "identity", "gzip, br", "identity, gzip"]),
    accepted=st.sampled_from(["identity", "gzip", "deflate"]),
)
@settings(
    max_examples=3 * settings().max_examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_both_ways_infer_alike(
    clients: tuple[httpx.AsyncClient, ...],
    method: str,
    path: str,
    body: bytes,
    header: str | None,
    raw: bytes,
    sent: str | None,
    accepted: str,
) -> None:
    given = {
        "x-request-id": "the-same",
        "inference-header-content-length": str(len(body)) if header == "right" else header,
        "content-encoding": sent,
        "accept-encoding": accepted,
    }
    headers = {name: value for name, value in given.items() if value is not None}
    content = gzip.compress(body + raw) if sent in ("gzip", "identity, gzip") else body + raw
    await assert_alike(clients, method, path, headers, lambda: content)


async def test_good_requests_are_answered_with_what_the_schema_promises(
    clients: tuple[httpx.AsyncClient, ...],
) -> None:
    for client in clients:
        response = await client.post("/generate", json={"sequence": [1, 2, 3], "steps": 4})
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert len(response.json()["values"]) == 4
        assert response.json()["finish_reason"] == "length"
