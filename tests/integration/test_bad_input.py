"""Whatever a client sends, the answer is 4xx as problem+json, repeats nothing of it, and harms nobody else."""

import gzip
import json
import math
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sine_client.messages import GenerateRequest
from tests.integration.wire import connected
from tests.server import Server

pytestmark = pytest.mark.anyio

MARK = "zq7Xk"  # planted in what is sent; must never come back

# One server for all examples is the point: what one request breaks, the next one shows.
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

wrong_values = st.one_of(
    st.none(),
    st.booleans(),
    st.just(MARK),
    st.sampled_from(["NaN", "Infinity", "1.5", "", math.nan, math.inf, -math.inf, 1.1e15, -1e300]),
    st.lists(st.floats(allow_nan=False), max_size=3),
    st.just({MARK: 1}),
)
good_values = st.floats(-1e15, 1e15)
wrong_sequences = st.one_of(
    wrong_values,
    st.just([]),
    st.tuples(st.lists(good_values, max_size=5), wrong_values, st.lists(good_values, max_size=5)).map(
        lambda parts: [*parts[0], parts[1], *parts[2]]
    ),
    # Too long: a few values again and again, because drawing thousands takes longer than everything else here.
    st.tuples(st.lists(good_values, min_size=1, max_size=5), st.integers(4097, 4100)).map(
        lambda drawn: (drawn[0] * drawn[1])[: drawn[1]]
    ),
).filter(
    lambda value: (
        not (
            isinstance(value, list)
            and value
            and all(type(v) is float and abs(v) <= 1e15 for v in value)
            and len(value) <= 4096
        )
    )
)
wrong_steps = st.one_of(wrong_values, st.integers(max_value=0), st.integers(min_value=10_001), st.floats(1, 10))

# As text: what no JSON library would write.
wrong_bodies = st.one_of(
    st.sampled_from(
        [
            b"",
            b"null",
            b"[]",
            b'"' + MARK.encode() + b'"',
            b'{"sequence":[1,2]',
            b'{"sequence":[1e400]}',
            b'{"sequence":[-1e400],"steps":1}',
            b'{"sequence":[NaN]}',
            b'{"sequence":[Infinity,1]}',
            b'{"sequence":[' + b"9" * 5000 + b"]}",
            b'{"sequence":[1],"steps":' + b"9" * 5000 + b"}",
            b"[" * 100_000,
            b'{"a":' * 10_000,
            b'{"sequence":' + b"[" * 500 + b"]" * 500 + b"}",
            b'{"sequence":[' + b"0," * 100_000 + b"0]}",
            b'{"sequence":[1,],"steps":1}',
            b'{"sequence":[01],"steps":1}',
            b"{'sequence':[1]}",
            '{"sequence":[1,2]}'.encode("utf-16"),
            '{"sequence":[1,2]}'.encode("utf-8-sig"),
            b'{"sequence":[1],"\xff\xfe":1}',
            b'{"sequence":[1],"\\ud800":1}',
            b"\xff\xfe\x00" + MARK.encode(),
            b'{"sequence":[1],"' + MARK.encode() + b'":1,"steps":1}',
        ]
    ),
    st.binary(max_size=300),
)


def assert_refused(response: httpx.Response) -> None:
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["detail"]
    assert MARK not in response.text
    assert MARK not in str(response.headers)


async def assert_still_serving(client: httpx.AsyncClient) -> None:
    response = await client.post("/generate", json={"sequence": [0.0, 0.5, 1.0, 0.5], "steps": 2})
    assert response.status_code == 200
    assert all(math.isfinite(value) for value in response.json()["values"])


async def post(
    client: httpx.AsyncClient, path: str, content: bytes, content_type: str = "application/json"
) -> httpx.Response:
    return await client.post(path, content=content, headers={"content-type": content_type})


@many
@given(sequence=wrong_sequences)
async def test_a_wrong_sequence_is_refused_by_name(client: httpx.AsyncClient, sequence: Any) -> None:
    for path, rest in (("/predict", {}), ("/generate", {"steps": 3})):
        response = await post(client, path, json.dumps({"sequence": sequence, **rest}).encode())
        assert_refused(response)
        assert response.json()["errors"][0]["pointer"].startswith("/sequence")
    await assert_still_serving(client)


@many
@given(steps=wrong_steps)
async def test_wrong_steps_are_refused_by_name(client: httpx.AsyncClient, steps: Any) -> None:
    response = await post(client, "/generate", json.dumps({"sequence": [1.0, 2.0], "steps": steps}).encode())
    assert_refused(response)
    assert response.json()["errors"][0]["pointer"] == "/steps"


@many
@given(body=wrong_bodies, path=st.sampled_from(["/predict", "/generate"]))
async def test_a_body_that_is_not_the_contract_is_refused(client: httpx.AsyncClient, body: bytes, path: str) -> None:
    assert_refused(await post(client, path, body))
    await assert_still_serving(client)


@many
@given(name=st.text(max_size=20).map(lambda text: MARK + text), value=st.floats(allow_nan=False, allow_infinity=False))
async def test_an_unknown_field_is_refused_without_repeating_its_name(
    client: httpx.AsyncClient, name: str, value: float
) -> None:
    response = await post(client, "/predict", json.dumps({"sequence": [1.0], name: value}).encode())
    assert_refused(response)
    assert "unknown field; the fields are sequence" in response.json()["detail"]


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", MARK]
)
async def test_a_wrong_content_type_is_refused(client: httpx.AsyncClient, content_type: str) -> None:
    response = await post(client, "/predict", b'{"sequence":[1]}', content_type)
    assert_refused(response)
    assert "application/json" in response.json()["detail"]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_other_ways_to_write_the_right_content_type_are_taken(
    client: httpx.AsyncClient, content_type: str
) -> None:
    response = await post(client, "/predict", b'{"sequence":[1]}', content_type)
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/generate", "/generate/stream"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "identity, br", MARK])
async def test_a_compressed_body_is_refused_with_the_codings_that_may_be_sent(
    client: httpx.AsyncClient, path: str, coding: str
) -> None:
    headers = {"content-type": "application/json", "content-encoding": coding}
    response = await client.post(path, content=gzip.compress(b'{"sequence":[1],"steps":1}'), headers=headers)
    assert_refused(response)
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")


@pytest.mark.parametrize("coding", ["identity", "Identity", "", "identity, identity"])
async def test_a_body_that_says_it_is_not_compressed_is_taken(client: httpx.AsyncClient, coding: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": coding}
    response = await client.post("/predict", content=b'{"sequence":[1]}', headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/generate"])
async def test_null_is_an_absent_field(client: httpx.AsyncClient, path: str) -> None:
    required = {"sequence": [0.0, 0.5], **({} if path == "/predict" else {"steps": 2})}
    optional = dict.fromkeys(GenerateRequest.model_fields.keys() - {"sequence", "steps"})
    assert len(optional) > 4
    responses = [await client.post(path, json={**required, **nulls}) for nulls in ({}, optional)]
    assert [response.status_code for response in responses] == [200, 200]
    assert responses[0].json() == responses[1].json()


@pytest.mark.parametrize("first", ["content-length: 2", "transfer-encoding: chunked"])
def test_a_body_of_two_lengths_is_refused_by_the_http_parser(server: Server, first: str) -> None:
    """So that a body that announces an acceptable size has it, which is what the limit on bodies builds on."""
    lengths = {"content-length: 2", "transfer-encoding: chunked"}
    head = ["POST /predict HTTP/1.1", "host: x", "content-type: application/json", first, *(lengths - {first}), "", ""]
    with connected(server) as connection:
        connection.sendall("\r\n".join(head).encode() + b"6\r\n{}    \r\n0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


async def test_a_missing_field_is_named(client: httpx.AsyncClient) -> None:
    response = await post(client, "/generate", b"{}")
    assert [error["pointer"] for error in response.json()["errors"]] == ["/sequence", "/steps"]
