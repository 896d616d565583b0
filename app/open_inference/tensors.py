"""Pure functions that convert the bytes of a request of the Open Inference Protocol to an array, and an array to bytes.

A body is JSON. The raw tensors of the inputs that have no `data` follow it, little-endian and row-major. The header
`Inference-Header-Content-Length` then has the length of the JSON.

    B   sequences of a batch        T   values of each so far        S   steps to continue each by
"""

import math
import re
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.api.parsing import JSON, parse
from app.errors import Diverged, InvalidRequest
from app.open_inference.schemas import OUTPUT, VERSION, Datatype, InferInput, InferParameters, InferRequest
from app.schemas import LARGEST_VALUE, FieldError

LENGTH_HEADER = "inference-header-content-length"

_DTYPES: dict[Datatype, npt.DTypeLike] = {"FP32": "<f4", "FP64": "<f8"}


@dataclass(frozen=True)
class TensorLimits:
    """The limits of a request."""

    max_batch: int
    max_sequence: int
    max_steps: int
    max_json_bytes: int
    """A larger tensor has to be binary. JSON takes a hundred times as long to read, and delays other requests."""


@dataclass(frozen=True)
class Asked:
    """A request that has been parsed and checked."""

    id: str | None
    x_BT: npt.NDArray[np.float64]
    """The values, all finite and within the limits. Those of an FP32 tensor are held exactly."""

    datatype: Datatype
    steps: int
    timeout_s: float | None
    binary: bool
    """Whether the answer should be a binary tensor."""


def parse_request(body: bytes, header_length: str | None, limits: TensorLimits) -> Asked:
    """Parse a body whose JSON has `header_length` bytes. None if all of it is JSON.

    Raises:
        InvalidRequest: the request is not valid, or beyond the limits.
    """
    json_bytes = len(body) if header_length is None else _json_bytes(header_length, len(body))
    if json_bytes > limits.max_json_bytes:
        raise _invalid("", f"its JSON has at most {limits.max_json_bytes} bytes; larger tensors have to be binary")
    request = parse(InferRequest, JSON, body[:json_bytes])
    parameters, output = request.parameters, request.outputs[0].parameters if request.outputs else None
    _check(parameters, limits)
    if output is not None and output.model_extra:
        raise _invalid("/outputs/0/parameters", "the only parameter of an output is binary_data")
    binary = None if output is None else output.binary_data
    return Asked(
        id=request.id,
        x_BT=_values(request.inputs[0], body[json_bytes:], limits),
        datatype=request.inputs[0].datatype,
        steps=parameters.steps,
        timeout_s=parameters.timeout / 1e6 or None,
        binary=parameters.binary_data_output if binary is None else binary,
    )


def tensor(chunks: list[npt.NDArray[np.float64]], datatype: Datatype) -> npt.NDArray[Any]:
    """The values of all rows as a flat array of `datatype`. Raises Diverged if one is beyond its range."""
    values = chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
    if datatype == "FP64":
        return values
    with np.errstate(over="ignore"):
        narrow = values.astype(_DTYPES[datatype])
    if not np.isfinite(narrow).all():
        raise Diverged("The rollout goes beyond what FP32 can hold; FP64 can.")
    return narrow


def response_head(request: Asked, model: str, binary_data_size: int | None) -> bytes:
    """The JSON of the answer to `request`, without the `data` of its output, which `with_data` adds."""
    output: dict[str, object] = {
        "name": OUTPUT,
        "datatype": request.datatype,
        "shape": [len(request.x_BT), request.steps],
    }
    if binary_data_size is not None:
        output["parameters"] = {"binary_data_size": binary_data_size}
    name = {} if request.id is None else {"id": request.id}
    return orjson.dumps({"model_name": model, "model_version": VERSION, **name, "outputs": [output]})


def with_data(head: bytes, numbers: bytes) -> bytes:
    """Insert the values of the output into `head`. `numbers` are the values, separated by commas."""
    return b'%b,"data":[%b]}]}' % (head.removesuffix(b"}]}"), numbers)


def _json_bytes(header_length: str, body_bytes: int) -> int:
    if not re.fullmatch("[0-9]{1,18}", header_length) or not 1 <= int(header_length) <= body_bytes:
        raise _invalid("", f"{LENGTH_HEADER} is the length of the JSON in bytes, here 1 to {body_bytes}")
    return int(header_length)


def _check(parameters: InferParameters, limits: TensorLimits) -> None:
    if parameters.steps > limits.max_steps:
        raise _invalid("/parameters/steps", f"input should be less than or equal to {limits.max_steps}")
    others = parameters.model_extra or {}
    if any(name.startswith("sequence_") for name in others):
        raise _invalid("/parameters", "this server keeps no sequences: send the values so far with each request")
    if others:
        raise _invalid("/parameters", f"the parameters are {', '.join(InferParameters.model_fields)}")


def _values(given: InferInput, raw: bytes, limits: TensorLimits) -> npt.NDArray[np.float64]:
    """Check and return the sequences [B, T]."""
    batch, length, *rest = given.shape
    if batch > limits.max_batch or length > limits.max_sequence or rest not in ([], [1]):
        allowed = f"of at most {limits.max_batch} sequences of at most {limits.max_sequence} values"
        raise _invalid("/inputs/0/shape", f"the shape is [batch, time] or [batch, time, 1], {allowed}")
    dtype = np.dtype(_DTYPES[given.datatype])
    size = given.parameters.binary_data_size
    if (size is None) == (given.data is None):
        raise _invalid("/inputs/0", "an input has either data or parameters.binary_data_size")
    if given.data is not None and raw:
        raise _invalid("", "there are bytes behind the JSON that belong to no input")
    if given.data is None and not size == len(raw) == batch * length * dtype.itemsize:
        bytes_ = batch * length * dtype.itemsize
        raise _invalid(
            "/inputs/0",
            f"a tensor of this shape has {bytes_} bytes; so must binary_data_size say, and so many be behind the JSON",
        )
    values = np.frombuffer(raw, dtype) if given.data is None else _numbers(given.data, given.shape)
    with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
        if not np.abs(values).max() <= LARGEST_VALUE:  # NaN is refused too
            raise _too_large()
    # A number in JSON is rounded to the datatype, like a number in a binary tensor.
    return values.astype(dtype, copy=False).astype(np.float64, copy=False).reshape(batch, length)


def _numbers(data: list[Any], shape: list[int]) -> npt.NDArray[np.float64]:
    """The numbers in `data`. It is flat, or nested like `shape`."""
    flat = data
    if data and isinstance(data[0], list):
        parts: list[Any] = [data]
        for size in shape:
            if any(not isinstance(part, list) or len(part) != size for part in parts):
                raise _invalid("/inputs/0/data", "nested data has to be nested like the shape")
            parts = list(chain.from_iterable(parts))
        flat = parts
    if len(flat) != math.prod(shape):
        raise _invalid("/inputs/0/data", f"a tensor of this shape has {math.prod(shape)} values")
    if not set(map(type, flat)) <= {int, float}:  # NumPy would accept true and "1" as 1
        raise _invalid("/inputs/0/data", "every value should be a valid number")
    try:
        return np.array(flat, np.float64)
    except OverflowError:  # an integer of hundreds of digits
        raise _too_large() from None


def _too_large() -> InvalidRequest:
    return _invalid("/inputs/0", f"every value has to be finite and at most {LARGEST_VALUE:g} in size")


def _invalid(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest([FieldError(pointer=pointer, detail=detail)])
