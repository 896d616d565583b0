"""The dialects of the rival servers: how each expects a request and where its answer has the forecast."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence


def sequence(values: Sequence[float]) -> bytes:
    return json.dumps({"sequence": list(values)}).encode()


def sequence_steps(values: Sequence[float], steps: int) -> bytes:
    return json.dumps({"sequence": list(values), "steps": steps}).encode()


def v2(values: Sequence[float]) -> bytes:
    tensor = {"name": "x", "shape": [1, len(values)], "datatype": "FP32", "data": list(values)}
    return json.dumps({"inputs": [tensor]}).encode()


def v2_binary_head(name: str, length: int) -> bytes:
    """Return the JSON before a binary tensor of `length` values, whose answer is a binary tensor too."""
    tensor = {
        "name": name,
        "shape": [1, length],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 4 * length},
    }
    return json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()


def v2_binary_headers(head: bytes) -> Mapping[str, str]:
    return {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}


def floats(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def batch_of_one(values: Sequence[float]) -> bytes:
    return json.dumps({"sequences": [list(values)]}).encode()


def read_prediction(body: bytes) -> float:
    return float(json.loads(body)["prediction"])


def read_number(body: bytes) -> float:
    return float(json.loads(body))


def read_first_number(body: bytes) -> float:
    return float(json.loads(body)[0])


def read_v2_binary(body: bytes) -> float:
    """Return the last number of a binary tensor, which is the end of the answer."""
    return float(struct.unpack("<f", body[-4:])[0])


def read_v2(body: bytes) -> float:
    return float(json.loads(body)["outputs"][0]["data"][0])
