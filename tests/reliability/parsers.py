"""Checks of all readers of a client's bytes, for any bytes. Each is a function that raises if its check fails.

`test_fuzz.py` gives them to hypothesis, and `fuzz_parsers.py` to atheris.
"""

import base64
import json
import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from app.api.state_tokens import KEPT, BadToken, Origin, read_token, write_token
from app.errors import BodyTooLarge, InvalidRequest
from app.open_inference.compression import inflate
from app.open_inference.tensors import Asked, TensorLimits, parse_request
from model.metadata import Architecture
from model.runtime.base import State
from sine_client.limits import LARGEST_VALUE

DIGEST = "ab" * 32
ARCHITECTURE = Architecture(cell="lstm", layers=2, hidden=2)
LIMITS = TensorLimits(max_batch=4, max_sequence=6, max_steps=10, max_json_bytes=2_000)
INFLATED_BYTES = 1_000


def token(data: bytes) -> bool:
    """Read `data` as a token's text, and as the bytes that one packs, with a checksum. Tell whether either is valid."""
    text = data.decode("utf-8", "replace")
    packed = base64.urlsafe_b64encode(data + struct.pack("<I", zlib.crc32(data))).rstrip(b"=").decode()
    return any([_token(text), _token(packed)])


def _token(text: str) -> bool:
    try:
        origin = read_token(text, DIGEST, ARCHITECTURE)
    except BadToken:
        return False
    state = origin.state
    if state is None:
        assert 1 <= len(origin.values) <= KEPT
        assert np.abs(origin.values).max() <= LARGEST_VALUE
        return True
    assert not origin.values
    assert state.memory_LM.shape == (ARCHITECTURE.layers, ARCHITECTURE.memory)
    assert np.isfinite(state.memory_LM).all()
    assert np.isfinite(state.residual)
    assert abs(state.level) <= LARGEST_VALUE
    assert 0 <= state.scale < np.inf
    again = read_token(write_token(state, None, DIGEST), DIGEST, ARCHITECTURE)
    assert state.scale == 0 or _bits(again) == _bits(origin)
    return True


def _bits(origin: Origin) -> tuple[bytes, bytes, bytes, int, bool]:
    state = origin.state
    assert state is not None
    numbers = struct.pack("<dd", state.level, state.scale)
    return state.memory_LM.tobytes(), state.error_R.tobytes(), numbers, state.observed, state.rolled_out


def tensor(data: bytes) -> bool:
    """Read `data` as two bytes with the length of the JSON, and a body. If the length is 0, the whole body is JSON."""
    length, body = int.from_bytes(data[:2], "little"), data[2:]
    try:
        asked = parse_request(body, str(length) if length else None, LIMITS)
    except InvalidRequest:
        return False
    batch, time = asked.x_BT.shape
    assert 1 <= batch <= LIMITS.max_batch
    assert 1 <= time <= LIMITS.max_sequence
    assert 1 <= asked.steps <= LIMITS.max_steps
    assert asked.timeout_s is None or 0 < asked.timeout_s < np.inf
    assert np.abs(asked.x_BT).max() <= 1e15  # NaN fails this too
    again = parse_request(*as_binary(asked), LIMITS)
    assert again.x_BT.tobytes() == asked.x_BT.tobytes()
    assert (again.id, again.steps, again.datatype, again.binary) == (
        asked.id,
        asked.steps,
        asked.datatype,
        asked.binary,
    )
    return True


def as_binary(asked: Asked) -> tuple[bytes, str]:
    """Return the body and the header of the same request with a binary tensor."""
    raw = asked.x_BT.astype({"FP32": "<f4", "FP64": "<f8"}[asked.datatype]).tobytes()
    given = {
        "name": "sequence",
        "shape": list(asked.x_BT.shape),
        "datatype": asked.datatype,
        "parameters": {"binary_data_size": len(raw)},
    }
    parameters = {"steps": asked.steps, "binary_data_output": asked.binary}
    head = json.dumps({"id": asked.id, "parameters": parameters, "inputs": [given]}).encode()
    return head + raw, str(len(head))


def compressed(data: bytes) -> bool:
    """Read `data` as a body in each coding."""
    return any([_inflates("gzip", data), _inflates("deflate", data)])


def _inflates(coding: str, data: bytes) -> bool:
    try:
        content = inflate(coding, data, INFLATED_BYTES)
    except (BodyTooLarge, InvalidRequest):
        return False
    assert len(content) <= INFLATED_BYTES
    return True


def valid_tokens() -> list[bytes]:
    """Return tokens as text, and the bytes that they pack."""
    zero = np.zeros((ARCHITECTURE.layers, ARCHITECTURE.memory), np.float32)
    states = [State(zero, 0.0, 0.0), State(zero + 0.25, 20.0, 230.0, 64), State(zero - 1e-30, -1e15, 1e15, 2**40)]
    texts = [write_token(state, None, DIGEST) for state in states] + [write_token(states[1], [1e15, -2.5], DIGEST)]
    return [*(text.encode() for text in texts), *(base64.urlsafe_b64decode(text + "==")[:-4] for text in texts)]


def valid_tensors() -> list[bytes]:
    """Return requests as JSON alone, and with a binary tensor after it."""
    x_BT = np.linspace(-1e15, 1e15, 6).reshape(2, 3)
    given = {"name": "sequence", "shape": [2, 3, 1], "datatype": "FP64"}
    requests = [
        {"inputs": [{**given, "data": x_BT.reshape(2, 3, 1).tolist()}]},
        {"id": "1", "inputs": [{**given, "data": x_BT.ravel().tolist()}], "parameters": {"steps": 9, "timeout": 5}},
        {
            "inputs": [{**given, "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]}],
            "outputs": [{"name": "values", "parameters": {"binary_data": True}}],
        },
    ]
    whole = [json.dumps(request).encode() for request in requests]
    binary = [as_binary(parse_request(body, None, LIMITS)) for body in whole]
    return [*(b"\0\0" + body for body in whole), *(int(n).to_bytes(2, "little") + body for body, n in binary)]


def valid_compressed() -> list[bytes]:
    """Return a body in each coding, and bodies that would be too large."""
    contents = [b"", b'{"inputs":[]}', b"a" * INFLATED_BYTES, b"a" * (10 * INFLATED_BYTES)]
    return [zlib.compress(content, wbits=wbits) for content in contents for wbits in (15, 31)]


PARSERS: dict[str, tuple[Callable[[bytes], bool], Callable[[], Sequence[bytes]]]] = {
    "token": (token, valid_tokens),
    "tensor": (tensor, valid_tensors),
    "compressed": (compressed, valid_compressed),
}
"""The checks by name, each with a function that returns valid bytes to begin with."""
