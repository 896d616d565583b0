"""The tensors of the Open Inference Protocol: pure functions from a request's bytes to an array, and back.

A body is JSON, followed by the raw tensors of the inputs that have no `data`, little-endian and row-major. The header
`Inference-Header-Content-Length` then gives the size of the JSON.

    B   sequences of a batch        T   values of each so far        S   steps to generate for each
"""

import math
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from app.api.parsing import invalid, parse
from app.errors import Diverged
from app.open_inference.schemas import OUTPUT, VERSION, Datatype, InferParameters, InferRequest
from sine_client.limits import LARGEST_VALUE

LENGTH_HEADER = "inference-header-content-length"

_DTYPES: dict[Datatype, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}

_LARGEST_FP32 = float(np.finfo(np.float32).max)


class TensorLimits(NamedTuple):
    """The limits of a request."""

    max_batch: int
    max_sequence: int
    max_steps: int
    max_json_bytes: int
    """A larger tensor has to be binary: JSON takes a hundred times as long to read, and delays all other requests."""


class Asked(NamedTuple):
    """A valid request."""

    id: str | None
    x_BT: npt.NDArray[np.float64]
    """The values, all finite and within the limits. Those of an FP32 tensor are unchanged."""

    datatype: Datatype
    steps: int
    timeout_s: float | None
    season: int | None
    """The season that was told; None if it is to be found."""

    binary: bool
    """True if the answer is a binary tensor."""


def parse_request(body: bytes, header_length: str | None, limits: TensorLimits) -> Asked:
    """Return the request in `body`. Its JSON has `header_length` bytes; None means all of them.

    Raises InvalidRequest for any error in it.
    """
    json_bytes = len(body)
    if header_length is not None:
        is_number = header_length.isdecimal() and header_length.isascii() and len(header_length) <= 18
        if not is_number or not 1 <= int(header_length) <= len(body):
            raise invalid("", f"{LENGTH_HEADER} is the length of the JSON in bytes, here 1 to {len(body)}")
        json_bytes = int(header_length)
    read = _read_head if header_length is None or json_bytes > _REPEATED else _read_head_again
    head = read(body[:json_bytes], limits)
    x_BT = _values(head, body[json_bytes:])
    return Asked(head.id, x_BT, head.datatype, head.steps, head.timeout_s, head.season, head.binary)


class _Head(NamedTuple):
    """The JSON of a valid request. `Asked` explains the fields that both have."""

    id: str | None
    shape: list[int]
    datatype: Datatype
    data: list[Any] | None
    size: int | None
    """The size of the binary tensor in bytes; None if there is `data`."""

    steps: int
    timeout_s: float | None
    season: int | None
    binary: bool


def _read_head(json: bytes, limits: TensorLimits) -> _Head:
    if len(json) > limits.max_json_bytes:
        raise invalid("", f"its JSON has at most {limits.max_json_bytes} bytes; larger tensors have to be binary")
    request = parse(InferRequest, json)
    (given,), parameters = request.inputs, request.parameters or InferParameters()
    _check(parameters, limits)
    binary = parameters.binary_data_output
    if request.outputs and (of_output := request.outputs[0].parameters):
        if of_output.others:
            raise invalid("/outputs/0/parameters", "the only parameter of an output is binary_data")
        if of_output.binary_data is not None:
            binary = of_output.binary_data
    batch, length, *rest = given.shape
    if batch > limits.max_batch or length > limits.max_sequence or rest not in ([], [1]):
        allowed = f"of at most {limits.max_batch} sequences of at most {limits.max_sequence} values"
        raise invalid("/inputs/0/shape", f"the shape is [batch, time] or [batch, time, 1], {allowed}")
    size = given.parameters.binary_data_size if given.parameters else None
    if (size is None) == (given.data is None):
        raise invalid("/inputs/0", "an input has either data or parameters.binary_data_size")
    timeout_s = parameters.timeout / 1e6 if parameters.timeout else None
    return _Head(
        request.id,
        given.shape,
        given.datatype,
        given.data,
        size,
        parameters.steps or 1,
        timeout_s,
        parameters.season,
        bool(binary),
    )


_REPEATED = 512
"""Before binary tensors, clients send the same JSON again and again. Some of so many bytes is read only once."""

_read_head_again = lru_cache(maxsize=256)(_read_head)


def tensor(chunks: list[npt.NDArray[np.float64]], datatype: Datatype) -> npt.NDArray[Any]:
    """Return the values of all rows, flat, as `datatype`. Raises Diverged if a value exceeds its range."""
    values = chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
    if datatype == "FP32" and not _within(values, _LARGEST_FP32):
        raise Diverged("The rollout goes beyond what FP32 can hold; FP64 can.")
    return values.astype(_DTYPES[datatype], copy=False)


def response_json(request: Asked, model: str, warnings: str = "", **values: object) -> bytes:
    """Return the JSON of the answer to `request`. Its output has `values`, as `data` or as `parameters`."""
    shape = [len(request.x_BT), request.steps]
    output = {"name": OUTPUT, "datatype": request.datatype, "shape": shape, **values}
    name = {} if request.id is None else {"id": request.id}
    parameters = {"parameters": {"warnings": warnings}} if warnings else {}
    return orjson.dumps({"model_name": model, "model_version": VERSION, **name, **parameters, "outputs": [output]})


def _check(parameters: InferParameters, limits: TensorLimits) -> None:
    if parameters.steps is not None and parameters.steps > limits.max_steps:
        raise invalid("/parameters/steps", f"input should be less than or equal to {limits.max_steps}")
    others = parameters.others
    if any(name.startswith("sequence_") for name in others):
        raise invalid("/parameters", "this server keeps no sequences: send the values so far with each request")
    if others:
        raise invalid("/parameters", f"the parameters are {', '.join(InferParameters.model_fields)}")


def _values(head: _Head, raw: bytes) -> npt.NDArray[np.float64]:
    """Return the sequences [B, T], checked. `raw` is all that follows the JSON."""
    batch, length, *_ = head.shape
    dtype = _DTYPES[head.datatype]
    needed = batch * length * dtype.itemsize
    if head.data is not None and raw:
        raise invalid("", "there are bytes behind the JSON that belong to no input")
    if head.data is None and not head.size == len(raw) == needed:
        allowed = "so must binary_data_size say, and so many be behind the JSON"
        raise invalid("/inputs/0", f"a tensor of this shape has {needed} bytes; {allowed}")
    in_range = False
    with suppress(OverflowError):  # an integer in JSON may have hundreds of digits
        values = np.frombuffer(raw, dtype) if head.data is None else _numbers(head.data, head.shape)
        in_range = _within(values, LARGEST_VALUE)
    if not in_range:
        raise invalid("/inputs/0", f"every value has to be finite and at most {LARGEST_VALUE:g} in size")
    # A number in JSON is rounded as in a binary tensor.
    return values.astype(dtype, copy=False).astype(np.float64, copy=False).reshape(batch, length)


def _within(values: npt.NDArray[Any], largest: float) -> bool:
    """Return whether every value is finite and at most `largest` in size."""
    # For few values, the sum of their squares takes a fraction of the time, and is nearly always small enough. Unlike
    # `dot`, `vdot` gives no warning of overflow or a signalling NaN.
    return bool(np.vdot(values, values) < 0.99 * largest * largest or np.abs(values).max() <= largest)  # never for NaN


def _numbers(data: list[Any], shape: list[int]) -> npt.NDArray[np.float64]:
    """Return the numbers in `data`, which is flat or nested like `shape`."""
    flat = data
    if data and isinstance(data[0], list):
        flat = [data]
        for size in shape:
            if any(not isinstance(part, list) or len(part) != size for part in flat):
                raise invalid("/inputs/0/data", "nested data has to be nested like the shape")
            flat = list(chain.from_iterable(flat))
    if len(flat) != math.prod(shape):
        raise invalid("/inputs/0/data", f"a tensor of this shape has {math.prod(shape)} values")
    if not set(map(type, flat)) <= {int, float}:  # NumPy would also accept true and "1" as numbers
        raise invalid("/inputs/0/data", "every value should be a valid number")
    return np.array(flat, np.float64)
