"""Tests of the Open Inference Protocol's tensors: each valid form is read exactly, and all else is refused."""

import json
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.errors import Diverged, InvalidRequest
from app.open_inference.schemas import Datatype, InferParameters, InferResponse
from app.open_inference.tensors import Asked, TensorLimits, parse_request, response_json, tensor

LIMITS = TensorLimits(max_batch=4, max_sequence=6, max_steps=10, max_json_bytes=200_000)
DTYPES: dict[Datatype, str] = {"FP32": "<f4", "FP64": "<f8"}


def an_input(**changes: object) -> dict[str, Any]:
    given = {"name": "sequence", "shape": [1, 3], "datatype": "FP32", "data": [1, 2.5, 3], **changes}
    return {name: value for name, value in given.items() if value is not ...}


def a_request(of_all: object = ..., outputs: object = ..., **changes: object) -> bytes:
    """Return a request with these parameters of its own, and these changes to its input."""
    given = {"inputs": [an_input(**changes)], "parameters": of_all, "outputs": outputs}
    return json.dumps({name: value for name, value in given.items() if value is not ...}).encode()


def binary(raw: bytes, size: int | None = None, **changes: object) -> tuple[bytes, str]:
    """Return a body with a binary tensor, and its header."""
    size = len(raw) if size is None else size
    head = a_request(data=..., parameters={"binary_data_size": size}, **changes)
    return head + raw, str(len(head))


def parse(body: bytes, header: str | None = None) -> Asked:
    return parse_request(body, header, LIMITS)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Datatype, npt.NDArray[Any], list[int]]:
    datatype: Datatype = draw(st.sampled_from(["FP32", "FP64"]))
    shape = (draw(st.integers(1, LIMITS.max_batch)), draw(st.integers(1, LIMITS.max_sequence)))
    width: Any = 32 if datatype == "FP32" else 64
    values = hnp.arrays(DTYPES[datatype], shape, elements=st.floats(-1e6, 1e6, width=width))
    return datatype, draw(values), [*shape, *draw(st.sampled_from([[], [1]]))]


@given(tensors())
def test_flat_nested_and_binary_are_the_same_tensor_exactly(
    drawn: tuple[Datatype, npt.NDArray[Any], list[int]],
) -> None:
    datatype, x_BT, shape = drawn
    for asked in (
        parse(a_request(datatype=datatype, shape=shape, data=x_BT.ravel().tolist())),
        parse(a_request(datatype=datatype, shape=shape, data=x_BT.reshape(shape).tolist())),
        parse(*binary(x_BT.tobytes(), datatype=datatype, shape=shape)),
    ):
        assert asked.datatype == datatype
        assert asked.x_BT.dtype == np.float64
        np.testing.assert_array_equal(asked.x_BT, x_BT.astype(np.float64), strict=True)


def test_a_number_in_json_is_the_one_that_the_datatype_has() -> None:
    assert parse(a_request(shape=[1, 1], data=[0.1])).x_BT == np.float32(0.1)
    assert parse(a_request(shape=[1, 1], data=[0.1], datatype="FP64")).x_BT == 0.1


def test_null_is_an_absent_field_everywhere() -> None:
    names = [*InferParameters.model_fields, "sequence_id", "sequence_start", "anything"]
    nulls: list[dict[str, Any]] = [
        {"id": None, "parameters": None, "outputs": None},
        {"parameters": dict.fromkeys(names)},
        {"inputs": [an_input(parameters=None)], "outputs": [{"name": "values", "parameters": None}]},
        {
            "inputs": [an_input(parameters={"binary_data_size": None, "shared_memory_region": None})],
            "outputs": [{"name": "values", "parameters": {"binary_data": None, "classification": None}}],
        },
    ]
    least = parse(a_request())
    for each in nulls:
        asked = parse(json.dumps({"inputs": [an_input()], **each}).encode())
        assert (asked.id, asked.steps, asked.timeout_s, asked.binary) == (
            least.id,
            least.steps,
            least.timeout_s,
            least.binary,
        )
        np.testing.assert_array_equal(asked.x_BT, least.x_BT)
    head = a_request({"binary_data_output": True}, [{"name": "values", "parameters": {"binary_data": None}}])
    assert parse(head).binary
    assert parse(*binary(bytes(12), size=12)).x_BT.shape == (1, 3)
    raw = a_request(data=None, parameters={"binary_data_size": 12})
    assert parse(raw + bytes(12), str(len(raw))).x_BT.shape == (1, 3)


@pytest.mark.parametrize("field", ["inputs", "name", "shape", "datatype"])
def test_null_is_no_value_of_a_required_field(field: str) -> None:
    body = {"inputs": None} if field == "inputs" else {"inputs": [an_input(**{field: None})]}
    with pytest.raises(InvalidRequest, match=field):
        parse(json.dumps(body).encode())


def test_minimal_and_complete_requests_are_read() -> None:
    least = parse(a_request())
    assert (least.id, least.steps, least.timeout_s, least.binary) == (None, 1, None, False)
    everything = {
        "id": "a",
        "parameters": {"steps": 10, "timeout": 2_500_000, "priority": 3, "binary_data_output": True},
        "inputs": [an_input(parameters={"content_type": "np"}, note=1)],
        "outputs": [{"name": "values"}],
        "note": 1,
    }
    most = parse(json.dumps(everything).encode())
    assert (most.id, most.steps, most.timeout_s, most.binary) == ("a", 10, 2.5, True)
    assert not parse(
        a_request({"binary_data_output": True}, [{"name": "values", "parameters": {"binary_data": False}}])
    ).binary
    assert parse(a_request(outputs=[{"name": "values", "parameters": {"binary_data": True}}])).binary
    assert parse(a_request({"timeout": 0}, [])).timeout_s is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "x"}, "/inputs/0/name: input should be 'sequence'"),
        ({"datatype": "INT64"}, "/inputs/0/datatype: input should be 'FP32' or 'FP64'"),
        ({"shape": [3]}, "/inputs/0/shape: list should have at least 2 items"),
        ({"shape": [1, 3, 1, 1]}, "/inputs/0/shape: list should have at most 3 items"),
        ({"shape": [1, 1, 3]}, "the shape is [batch, time] or [batch, time, 1]"),
        ({"shape": [5, 3]}, "at most 4 sequences of at most 6 values"),
        ({"shape": [1, 7]}, "at most 4 sequences of at most 6 values"),
        ({"shape": [2**62, 2**62]}, "at most 4 sequences of at most 6 values"),
        ({"shape": [10**400, 1]}, "at most 4 sequences of at most 6 values"),
        ({"shape": [0, 3]}, "/inputs/0/shape/0: input should be greater than or equal to 1"),
        ({"shape": [-1, -3]}, "/inputs/0/shape/0: input should be greater than or equal to 1"),
        ({"shape": [1.0, 3]}, "/inputs/0/shape/0: input should be a valid integer"),
        ({"shape": [True, 3]}, "/inputs/0/shape/0: input should be a valid integer"),
        ({"data": [1, 2]}, "a tensor of this shape has 3 values"),
        ({"data": []}, "a tensor of this shape has 3 values"),
        ({"data": [[1, 2], [3]]}, "nested like the shape"),
        ({"data": [[1, 2, 3], []]}, "nested like the shape"),
        ({"data": [[1, 2, [3]]]}, "every value should be a valid number"),
        ({"data": [1, [2, 3]]}, "a tensor of this shape has 3 values"),
        ({"data": [1, 2, [3]]}, "every value should be a valid number"),
        ({"data": [1, 2, "3"]}, "every value should be a valid number"),
        ({"data": [1, 2, True]}, "every value should be a valid number"),
        ({"data": [1, 2, None]}, "every value should be a valid number"),
        ({"data": [1, 2, float("nan")]}, "every value has to be finite"),
        ({"data": [1, 2, float("-inf")]}, "every value has to be finite"),
        ({"data": [1, 2, 1.1e15]}, "at most 1e+15 in size"),
        ({"data": [1, 2, 10**400]}, "every value has to be finite"),
        ({"data": "AAAA"}, "/inputs/0/data: input should be a valid array"),
        ({"data": ...}, "either data or parameters.binary_data_size"),
        ({"parameters": {"binary_data_size": 12}}, "either data or parameters.binary_data_size"),
        ({"data": ..., "parameters": {"binary_data_size": 12}}, "a tensor of this shape has 12 bytes"),
        ({"data": ..., "parameters": {"binary_data_size": "12"}}, "input should be a valid integer"),
        ({"data": ..., "parameters": {"binary_data_size": -1}}, "greater than or equal to 0"),
        ({"data": ..., "parameters": {"shared_memory_region": "r"}}, "either data or parameters.binary_data_size"),
    ],
)
def test_an_input_that_is_wrong_is_refused_and_the_answer_says_why(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(a_request(**changes))
    assert said in refused.value.detail


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (a_request({"steps": 0}), "/parameters/steps: input should be greater than or equal to 1"),
        (a_request({"steps": 11}), "/parameters/steps: input should be less than or equal to 10"),
        (a_request({"steps": 10**400}), "/parameters/steps: input should be less than or equal to 10"),
        (a_request({"steps": 2.0}), "/parameters/steps: input should be a valid integer"),
        (a_request({"step": 2}), "the parameters are steps, timeout, season, priority, binary_data_output"),
        (a_request({"timeout": -1}), "/parameters/timeout: input should be greater than or equal to 0"),
        (a_request({"timeout": 10**400}), "/parameters/timeout: input should be less than"),
        (a_request({"sequence_id": 7, "sequence_start": True}), "this server keeps no sequences"),
        (a_request(outputs=[{"name": "y"}]), "/outputs/0/name: input should be 'values'"),
        (a_request(outputs=[{"name": "values", "parameters": {"classification": 3}}]), "is binary_data"),
        (a_request(outputs=[{"name": "values"}, {"name": "values"}]), "/outputs: list should have at most 1 item"),
        (b'{"inputs": []}', "/inputs: list should have at least 1 item"),
        (json.dumps({"inputs": [an_input(), an_input()]}).encode(), "/inputs: list should have at most 1 item"),
        (json.dumps({"id": 7, "inputs": [an_input()]}).encode(), "/id: input should be a valid string"),
        (b'{"id": "\\ud800", "inputs": []}', "invalid JSON"),
        (b"", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b"{}", "/inputs: field required"),
        (b"null", "body: input should be"),
    ],
)
def test_a_request_that_is_wrong_is_refused_and_the_answer_says_why(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(body)
    assert said in refused.value.detail


@pytest.mark.parametrize("header", ["", "0", "-1", "+5", "5.0", "1e2", "0x10", " 5", "٣", "9" * 5000, "999999", "abc"])
def test_a_header_that_is_no_length_within_the_body_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest, match="is the length of the JSON in bytes"):
        parse(a_request(), header)


def test_a_header_that_lies_is_refused() -> None:
    body, header = binary(np.ones(3, "<f4").tobytes())
    for wrong in range(1, len(body) + 1):
        if wrong != int(header):
            with pytest.raises(InvalidRequest):
                parse(body, str(wrong))
    with pytest.raises(InvalidRequest, match="invalid JSON"):
        parse(body)
    whole = a_request()
    assert parse(whole, str(len(whole))).steps == 1


def test_a_tensor_that_would_be_too_much_json_has_to_be_binary() -> None:
    padding = b" " * (LIMITS.max_json_bytes - len(a_request()))
    assert parse(a_request() + padding).steps == 1
    for body, header in ((a_request() + padding + b" ", None), (b" " * 300_000, "200001")):
        with pytest.raises(InvalidRequest, match="its JSON has at most 200000 bytes; larger tensors have to be binary"):
            parse(body, header)


def test_a_binary_tensor_has_exactly_the_bytes_of_its_shape() -> None:
    raw = np.ones(3, "<f4").tobytes()
    for wrong in (b"", raw[:-1], raw + b"\0", raw * 2):
        with pytest.raises(InvalidRequest, match="a tensor of this shape has 12 bytes"):
            parse(*binary(wrong))
        with pytest.raises(InvalidRequest, match="a tensor of this shape has 12 bytes"):
            parse(*binary(wrong, size=12))
    for size in (0, 11, 13, 2**63, 10**400):
        with pytest.raises(InvalidRequest, match="a tensor of this shape has 12 bytes"):
            parse(*binary(raw, size=size))
    with pytest.raises(InvalidRequest, match="bytes behind the JSON that belong to no input"):
        parse(a_request() + raw, str(len(a_request())))


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001, 0xFF800000, 0x7F800000, 0x58635FAA])
def test_bytes_that_are_no_finite_number_or_too_large_a_one_are_refused(bits: int) -> None:
    for position in range(3):
        raw = bytearray(np.ones(3, "<f4").tobytes())
        raw[4 * position : 4 * position + 4] = struct.pack("<I", bits)
        with pytest.raises(InvalidRequest, match="every value has to be finite and at most"):
            parse(*binary(bytes(raw)))
    # A double behaves alike, signalling NaN included, at any alignment of its bytes.
    wide = struct.pack("<Q", 0x7FF0000000000001) + bytes(16)
    with pytest.raises(InvalidRequest, match="every value has to be finite and at most"):
        parse(*binary(wide, datatype="FP64"))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
nearly = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=5) | json_values,
        "parameters": st.dictionaries(
            st.sampled_from(["steps", "timeout", "binary_data_output", "sequence_id", "x"]),
            st.integers(-1, 12) | json_values,
            max_size=3,
        )
        | json_values,
        "inputs": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "name": st.just("sequence") | json_values,
                    "datatype": st.sampled_from(["FP32", "FP64"]) | json_values,
                    "shape": st.lists(st.integers(-1, 4), max_size=4) | json_values,
                    "data": st.lists(st.floats() | st.integers(), max_size=12) | json_values,
                    "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(0, 64)}) | json_values,
                },
            ),
            max_size=2,
        )
        | json_values,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.just("values") | json_values}), max_size=2) | json_values,
    },
).map(lambda value: json.dumps(value).encode())


@given(
    head=nearly | json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=100),
    raw=st.binary(max_size=64),
    header=st.none() | st.just("right") | st.integers(0, 200).map(str) | st.text(max_size=8),
)
@settings(max_examples=800, deadline=None)
def test_any_body_is_read_or_refused(head: bytes, raw: bytes, header: str | None) -> None:
    try:
        asked = parse(head + raw, str(len(head)) if header == "right" else header)
    except InvalidRequest:
        return
    batch, length = asked.x_BT.shape
    assert 1 <= batch <= LIMITS.max_batch
    assert 1 <= length <= LIMITS.max_sequence
    assert 1 <= asked.steps <= LIMITS.max_steps
    assert (np.abs(asked.x_BT) <= 1e15).all()


@given(tensors(), st.none() | st.text(st.characters(exclude_categories=["Cs"])))
def test_an_answer_is_what_the_protocol_promises(
    drawn: tuple[Datatype, npt.NDArray[Any], list[int]], name: str | None
) -> None:
    datatype, values_BS, _ = drawn
    asked = Asked(name, np.zeros((len(values_BS), 2)), datatype, values_BS.shape[1], None, None, False)
    values = tensor([row.astype(np.float64) for row in values_BS], datatype)
    data = orjson.Fragment(orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY))
    answer = InferResponse.model_validate_json(response_json(asked, "m", data=data))
    (output,) = answer.outputs
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "1", name)
    assert (output.datatype, tuple(output.shape)) == (datatype, values_BS.shape)
    np.testing.assert_array_equal(np.array(output.data, DTYPES[datatype]), values_BS.ravel())
    head = json.loads(response_json(asked, "m", parameters={"binary_data_size": values.nbytes}))
    assert head["outputs"][0]["parameters"] == {"binary_data_size": values.nbytes}
    assert "data" not in head["outputs"][0]
    assert values.tobytes() == values_BS.tobytes()


def test_a_value_beyond_single_precision_is_no_infinity() -> None:
    chunks = [np.array([1.0]), np.array([1e39])]
    assert tensor(chunks, "FP64").tolist() == [1.0, 1e39]
    with pytest.raises(Diverged, match="FP64"):
        tensor(chunks, "FP32")
