"""Tests of the Open Inference Protocol with independent clients: tritonclient and open-inference-openapi."""

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.http as triton
import tritonclient.http.aio
from open_inference.openapi import BadRequestError, InferenceRequest, NotFoundError
from open_inference.openapi.client import OpenInferenceClient
from tritonclient.utils import InferenceServerException

from tests.artifacts import make_small_artifact
from tests.gate import Gate
from tests.metrics import metric
from tests.server import Server, serve
from tests.waiting import wait_for, wait_for_async

MODEL = "sine"
WAVES_BT = np.sin(2 * np.pi * (np.arange(64) / 25 + np.arange(3)[:, None] / 3)) * [[1.0], [230.0], [1e-3]]
DTYPES = {"FP32": np.float32, "FP64": np.float64}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    with triton.InferenceServerClient(server.url.removeprefix("http://"), concurrency=4) as client:
        yield client


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run two workers with small limits. Only the tests that use them send requests to them."""
    folder = tmp_path_factory.mktemp("limited")
    limits = {"max_batch": 4, "max_sequence": 30, "max_steps": 20}
    with serve(folder, model=make_small_artifact(folder), workers=2, **limits) as server:
        yield server


def an_input(x: npt.NDArray[Any], datatype: str = "FP64", binary: bool = True) -> Any:
    given = triton.InferInput("sequence", list(x.shape), datatype)
    given.set_data_from_numpy(x.astype(DTYPES[datatype]), binary_data=binary)
    return given


def an_output(binary: bool) -> list[Any]:
    return [triton.InferRequestedOutput("values", binary_data=binary)]


def generated(server: Server, row_T: npt.NDArray[Any], steps: int) -> list[float]:
    response = httpx.post(f"{server.url}/generate", json={"sequence": row_T.tolist(), "steps": steps})
    values: list[float] = response.raise_for_status().json()["values"]
    return values


def post(server: Server, content: bytes | dict[str, Any], path: str = "small/infer", **headers: str) -> httpx.Response:
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.post(f"{server.url}/v2/models/{path}", content=content, headers=headers, timeout=60)


def a_request(x: npt.NDArray[Any], **fields: object) -> dict[str, Any]:
    return {
        "inputs": [{"name": "sequence", "shape": list(x.shape), "datatype": "FP64", "data": x.ravel().tolist()}],
        **fields,
    }


def assert_refused(response: httpx.Response, status: int, said: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    assert said in body["error"]


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    for version in ("", "1"):
        assert client.is_model_ready(MODEL, version)
        metadata = client.get_model_metadata(MODEL, version)
        assert metadata == {
            "name": MODEL,
            "versions": ["1"],
            "platform": "pytorch_torchscript",
            "inputs": [{"name": "sequence", "datatype": "FP32", "shape": [-1, -1]}],
            "outputs": [{"name": "values", "datatype": "FP32", "shape": [-1, -1]}],
        }
        config = client.get_model_config(MODEL, version)
        assert config["max_batch_size"] == 64
        assert config["input"] == [{"name": "sequence", "data_type": "TYPE_FP32", "dims": [-1]}]
        assert config["output"] == [{"name": "values", "data_type": "TYPE_FP32", "dims": [-1]}]
    assert client.get_model_repository_index() == [
        {"name": name, "version": "1", "state": "READY", "reason": ""} for name in (MODEL, "any")
    ]


def test_every_extension_that_is_advertised_is_there_and_no_other(client: Any) -> None:
    metadata = client.get_server_metadata()
    assert metadata["name"] == "sine-rnn-server"
    use: dict[str, Callable[[], object]] = {
        "binary_tensor_data": lambda: client.infer(MODEL, [an_input(WAVES_BT)], outputs=an_output(binary=True)),
        "model_configuration": lambda: client.get_model_config(MODEL),
        "statistics": lambda: client.get_inference_statistics(MODEL, "1"),
        "model_repository": lambda: client.get_model_repository_index(),
    }
    assert set(metadata["extensions"]) == set(use)
    for used in use.values():
        assert used()
    for not_there in (client.get_log_settings, client.get_trace_settings, client.get_system_shared_memory_status):
        with pytest.raises(InferenceServerException, match=r"^\[404\]"):
            not_there()


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_every_way_to_send_and_to_be_answered_gives_the_same_values(client: Any, datatype: str) -> None:
    answers, as_binary, as_json = [], an_output(binary=True), an_output(binary=False)
    for x in (WAVES_BT, WAVES_BT[:, :, None]):
        for sent_binary in (True, False):
            for outputs in (None, as_binary, as_json):
                given = an_input(x, datatype, sent_binary)
                result = client.infer(MODEL, [given], outputs=outputs, request_id="42", parameters={"steps": 9})
                response = result.get_response()
                assert (response["model_name"], response["model_version"], response["id"]) == (MODEL, "1", "42")
                output = result.get_output("values")
                assert (output["datatype"], output["shape"]) == (datatype, [3, 9])
                assert ("data" in output) == (outputs is as_json)
                answers.append(result.as_numpy("values"))
                assert answers[-1].dtype == DTYPES[datatype]
    for answer in answers:
        np.testing.assert_array_equal(answer, answers[0])


@pytest.mark.parametrize("steps", [1, 7, 3000])
def test_a_row_of_a_batch_is_what_generate_answers_bit_for_bit(client: Any, server: Server, steps: int) -> None:
    values_BS = client.infer(MODEL, [an_input(WAVES_BT)], parameters={"steps": steps}).as_numpy("values")
    for row_T, values_S in zip(WAVES_BT, values_BS, strict=True):
        alone = client.infer(MODEL, [an_input(row_T[None])], parameters={"steps": steps}).as_numpy("values")
        assert values_S.tolist() == alone[0].tolist() == generated(server, row_T, steps)


def test_single_precision_is_the_same_forecast_of_the_same_values(client: Any, server: Server) -> None:
    row_T = WAVES_BT[1].astype(np.float32)
    values = client.infer(MODEL, [an_input(row_T[None], "FP32")], parameters={"steps": 20}).as_numpy("values")
    wide = np.array(generated(server, row_T.astype(np.float64), 20))
    assert values[0].tolist() == wide.astype(np.float32).tolist()


def test_a_full_batch_equals_its_rows(client: Any) -> None:
    x_BT = np.random.default_rng(0).normal(size=(64, 50))
    values_BS = client.infer(MODEL, [an_input(x_BT)], parameters={"steps": 40}).as_numpy("values")
    for row in (0, 31, 63):
        alone = client.infer(MODEL, [an_input(x_BT[row : row + 1])], parameters={"steps": 40}).as_numpy("values")
        assert values_BS[row].tolist() == alone[0].tolist()


@pytest.mark.parametrize("sent", [None, "gzip", "deflate"])
@pytest.mark.parametrize("answered", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_compression_both_ways(client: Any, sent: str | None, answered: str | None, binary: bool) -> None:
    result = client.infer(
        MODEL,
        [an_input(WAVES_BT, binary=binary)],
        outputs=an_output(binary),
        parameters={"steps": 100},
        request_compression_algorithm=sent,
        response_compression_algorithm=answered,
    )
    plain = client.infer(MODEL, [an_input(WAVES_BT)], parameters={"steps": 100})
    np.testing.assert_array_equal(result.as_numpy("values"), plain.as_numpy("values"))


@pytest.mark.parametrize(
    ("steps", "accepted", "coding"),
    [(100, "gzip", "gzip"), (100, "deflate", "deflate"), (1, "gzip", None), (100, "br", None)],
)
def test_an_answer_is_compressed_if_that_is_requested_and_worth_it(
    server: Server, steps: int, accepted: str, coding: str | None
) -> None:
    request = a_request(WAVES_BT, parameters={"steps": steps})
    response = post(server, request, f"{MODEL}/infer", **{"accept-encoding": accepted})
    assert response.headers.get("content-encoding") == coding
    assert response.json()["outputs"][0]["shape"] == [3, steps]


def test_asynchronous_requests_of_the_client(client: Any) -> None:
    expected = client.infer(MODEL, [an_input(WAVES_BT)], parameters={"steps": 5}).as_numpy("values")
    pending = [client.async_infer(MODEL, [an_input(WAVES_BT)], parameters={"steps": 5}) for _ in range(20)]
    for request in pending:
        np.testing.assert_array_equal(request.get_result().as_numpy("values"), expected)


@pytest.mark.anyio
async def test_the_asyncio_client(server: Server) -> None:
    async with tritonclient.http.aio.InferenceServerClient(server.url.removeprefix("http://")) as client:
        assert await client.is_server_ready()
        assert await client.is_model_ready(MODEL, "1")
        assert (await client.get_model_metadata(MODEL))["name"] == MODEL
        assert (await client.get_inference_statistics())["model_stats"][0]["name"] == MODEL
        results = await asyncio.gather(
            *(
                client.infer(
                    MODEL, [an_input(WAVES_BT)], parameters={"steps": 50}, response_compression_algorithm=coding
                )
                for coding in [None, "gzip", "deflate"] * 5
            )
        )
        for result in results:
            np.testing.assert_array_equal(result.as_numpy("values"), results[0].as_numpy("values"))
        with pytest.raises(InferenceServerException, match="unknown model"):
            await client.infer("another", [an_input(WAVES_BT)])


def test_open_inference_openapi(server: Server) -> None:
    def request(steps: int) -> InferenceRequest:
        given = {"name": "sequence", "shape": WAVES_BT.shape, "datatype": "FP64", "data": WAVES_BT.ravel().tolist()}
        return InferenceRequest.parse_obj({"id": "7", "inputs": [given], "parameters": {"steps": steps}})

    with httpx.Client() as connection:
        client = OpenInferenceClient(base_url=server.url, httpx_client=connection)
        client.check_server_liveness()
        client.check_server_readiness()
        client.check_model_readiness(MODEL)
        client.check_model_version_readiness(MODEL, "1")
        assert client.read_server_metadata().name == "sine-rnn-server"
        for metadata in (client.read_model_metadata(MODEL), client.read_model_version_metadata(MODEL, "1")):
            assert metadata.name == MODEL
            assert metadata.inputs is not None
            assert metadata.inputs[0].shape == [-1, -1]
        for response in (
            client.model_infer(MODEL, request=request(4)),
            client.model_version_infer(MODEL, "1", request=request(4)),
        ):
            assert response.id == "7"
            (output,) = response.outputs
            assert output.shape == [3, 4]
            assert output.data.__root__ == [value for row_T in WAVES_BT for value in generated(server, row_T, 4)]
        with pytest.raises(BadRequestError) as refused:
            client.model_infer(MODEL, request=request(0))
        assert refused.value.body == {"error": "/parameters/steps: input should be greater than or equal to 1"}
        with pytest.raises(NotFoundError):
            client.check_model_readiness("another")


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"model_name": "another"}, "404", "unknown model: the served models are 'sine'"),
        ({"model_version": "2"}, "404", "unknown model version: the only version of each model is 1"),
        ({"model_version": "0.2.0"}, "404", "unknown model"),
        ({"sequence_id": 7, "sequence_start": True}, "400", "this server keeps no sequences"),
        ({"parameters": {"steps": 0}}, "400", "/parameters/steps: input should be greater than or equal to 1"),
        ({"parameters": {"steps": 10_001}}, "400", "/parameters/steps: input should be less than or equal to 10000"),
        ({"parameters": {"horizon": 3}}, "400", "the parameters are steps, timeout, season, priority"),
        ({"inputs": [an_input(np.ones((65, 2)))]}, "400", "at most 64 sequences of at most 4096 values"),
        ({"inputs": [an_input(np.ones((1, 4097)))]}, "400", "at most 64 sequences of at most 4096 values"),
        ({"inputs": [an_input(np.ones(4))]}, "400", "/inputs/0/shape"),
        ({"inputs": [an_input(np.ones((1, 2, 2)))]}, "400", "[batch, time, 1]"),
        ({"inputs": [an_input(np.array([[1.0, np.nan]]))]}, "400", "every value has to be finite"),
        ({"inputs": [an_input(np.array([[1.0, 1e16]]), binary=False)]}, "400", "at most 1e+15 in size"),
        ({"outputs": [triton.InferRequestedOutput("y")]}, "400", "/outputs/0/name"),
        ({"outputs": [triton.InferRequestedOutput("values", class_count=2)]}, "400", "is binary_data"),
    ],
)
def test_invalid_requests_are_refused_with_tritons_status(
    client: Any, asked: dict[str, Any], status: str, said: str
) -> None:
    with pytest.raises(InferenceServerException) as refused:
        client.infer(**{"model_name": MODEL, "inputs": [an_input(WAVES_BT)], **asked})
    assert refused.value.status() == status
    assert said in refused.value.message()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/", 404),
        ("GET", "/v2/models/another", 404),
        ("GET", "/v2/models/sine/versions/9/stats", 404),
        ("GET", "/v2/models/another/ready", 404),
        ("GET", "/v2/models//infer", 404),
        ("DELETE", "/v2", 405),
        ("GET", "/v2/models/sine/infer", 405),
        ("POST", "/v2/models/sine/versions/9/infer", 404),
        ("POST", "/v2/repository/models/sine/unload", 404),
    ],
)
def test_a_path_that_is_not_there_is_refused_in_the_protocols_form(
    server: Server, method: str, path: str, status: int
) -> None:
    assert_refused(httpx.request(method, server.url + path), status, "")


def test_refusals_outside_the_protocol_are_still_problems(server: Server) -> None:
    for path in ("/v2x", "/v3", "/predict"):
        assert httpx.get(server.url + path).headers["content-type"] == "application/problem+json"


def test_a_body_that_is_or_becomes_too_large_is_refused(limited: Server) -> None:
    def chunks() -> Iterator[bytes]:
        yield from [b" " * 10_000] * 10

    said, infer = "A request body has at most", f"{limited.url}/v2/models/small/infer"
    assert_refused(post(limited, b" " * 100_000), 413, said)
    assert_refused(httpx.post(f"{limited.url}/v2/models/small/infer", content=chunks()), 413, said)
    for coding, bomb in (("gzip", gzip.compress(bytes(5_000_000))), ("deflate", b"x" * 10)):
        assert_refused(
            post(limited, bomb, **{"content-encoding": coding}),
            413 if coding == "gzip" else 400,
            said if coding == "gzip" else "content-encoding",
        )
    assert_refused(post(limited, b"{}", **{"content-encoding": "br"}), 415, "one of gzip, deflate")
    for coding in ("br", "zstd", "gzip, br", "gzip, gzip", "identity, br"):
        refused = post(limited, b"{}", **{"content-encoding": coding})
        assert (refused.status_code, refused.headers["accept-encoding"]) == (415, "gzip, deflate")
    full = triton.InferInput("sequence", [4, 30], "FP64")
    full.set_data_from_numpy(np.full((4, 30), -0.12345678901234567))
    body, json_bytes = triton.InferenceServerClient.generate_request_body([full])
    header = {"inference-header-content-length": str(json_bytes)}
    assert post(limited, body, **header).status_code == 200
    assert post(limited, gzip.compress(body), **header, **{"content-encoding": "GZip"}).status_code == 200
    assert post(limited, body, **header, **{"content-encoding": "Identity"}).status_code == 200
    twice = [
        ("inference-header-content-length", str(json_bytes)),
        *[("content-encoding", c) for c in ("identity", "gzip")],
    ]
    assert httpx.post(infer, content=gzip.compress(body), headers=twice).status_code == 200
    assert httpx.get(f"{limited.url}/v2/health/ready").status_code == 200


def test_the_statistics_count_what_all_workers_did(limited: Server) -> None:
    def statistics(path: str = "/v2/models/small/stats") -> dict[str, Any]:
        (found,) = httpx.get(limited.url + path).json()["model_stats"]
        assert (found.pop("name"), found.pop("version")) == ("small", "1")
        counts = {"inferences": found["inference_count"], "executions": found["execution_count"]}
        return {**counts, **found["inference_stats"]}

    before = statistics()
    for _ in range(10):  # a connection each, so that both workers get some
        assert post(limited, a_request(np.ones((3, 5)), parameters={"steps": 4})).status_code == 200
        assert post(limited, a_request(np.ones((5, 5)))).status_code == 400
    after = statistics()
    assert statistics("/v2/models/stats") == statistics("/v2/models/small/versions/1/stats") == after
    assert after["inferences"] - before["inferences"] == 30
    assert after["executions"] - before["executions"] == 10
    for part in ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"):
        assert after[part]["count"] - before[part]["count"] == 10, part
        assert (after[part]["ns"] > before[part]["ns"]) == (part != "queue"), part
    assert after["cache_hit"] == after["cache_miss"] == {"count": 0, "ns": 0}
    parts = sum(after[part]["ns"] for part in ("compute_input", "compute_infer", "compute_output"))
    assert after["success"]["ns"] == pytest.approx(parts, abs=10)
    exposed = httpx.get(f"{limited.url}/metrics").text
    assert f'sine_inference_sequences_total{{model="small"}} {after["inferences"]:.1f}' in exposed


def test_a_batch_with_a_row_that_stops_being_finite_is_refused(explosive: Server) -> None:
    x_BT = np.array([[1.0, -1.0, 0.0], [1.0, -1.0, 0.001]])
    good = post(explosive, a_request(x_BT))
    assert good.json()["outputs"][0]["data"] == pytest.approx([0.0, 32 * 3e37 * 0.001])
    said = "The rollout of sequence 1 of the batch stops being finite after 1 steps"
    assert_refused(post(explosive, a_request(x_BT, parameters={"steps": 2})), 400, said)


def test_overload_deadline_and_a_client_that_leaves(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("slow")
    model, gate, most = make_small_artifact(folder), Gate(folder), 1_000_000
    with serve(folder, gate, model=model, workers=1, max_steps=most, max_pending_s=1e-6) as server:
        x_BT, url = np.ones((4, 3)), f"{server.url}/v2/models/small/infer"
        with gate.closed():
            timeout = a_request(x_BT, parameters={"steps": most, "timeout": 100_000})
            assert_refused(post(server, timeout), 503, "The forecast was not finished within 0.1 s")

            with pytest.raises(httpx.ReadTimeout):
                httpx.post(url, json=a_request(x_BT, parameters={"steps": most}), timeout=0.3)
            wait_for("the end of work for nobody", lambda: metric(server.url, "sine_pending_steps") == 0)

        async def flood() -> list[httpx.Response]:
            async with httpx.AsyncClient(timeout=60) as client:
                request = a_request(x_BT, parameters={"steps": 5_000})
                with gate.closed():
                    asked = [asyncio.create_task(client.post(url, json=request)) for _ in range(16)]
                    await wait_for_async("refusals", lambda: metric(server.url, "sine_refusals_total") > refusals)
                return await asyncio.gather(*asked)

        refusals = metric(server.url, "sine_refusals_total")

        responses = asyncio.run(flood())
        assert {response.status_code for response in responses} == {200, 503}
        for response in responses:
            if response.status_code == 503:
                assert_refused(response, 503, "Too much work is waiting")
                assert int(response.headers["retry-after"]) >= 1
            else:
                assert response.json()["outputs"][0]["shape"] == [4, 5_000]
        assert post(server, a_request(x_BT)).status_code == 200


def test_the_openapi_document_has_all_of_it(server: Server) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    paths = {path for path in document["paths"] if path.startswith("/v2")}
    of_model = ("", "/ready", "/config", "/stats", "/infer")
    assert paths == {
        *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/stats", "/v2/repository/index"),
        *(f"/v2/models/{{model}}{path}" for path in of_model),
        *(f"/v2/models/{{model}}/versions/{{version}}{path}" for path in of_model),
    }
    infer = document["paths"]["/v2/models/{model}/versions/{version}/infer"]["post"]
    names = [parameter["name"] for parameter in infer["parameters"]]
    assert names == ["model", "version", "inference-header-content-length", "content-encoding"]
    assert {"200", "400", "404", "408", "413", "415", "431", "503"} == infer["responses"].keys()
    described = infer["requestBody"]["content"]["application/json"]["schema"]
    assert described == {"$ref": "#/components/schemas/InferRequest"}
    schema = document["components"]["schemas"]["InferInput"]["properties"]
    example = {name: field["examples"][0] for name, field in schema.items() if "examples" in field}
    request = {"inputs": [{"name": "sequence", "datatype": "FP32", **example}]}
    assert post(server, request, f"{MODEL}/infer").status_code == 200
