"""The dialects of the rival servers: how each expects a request and where its answer has the forecast."""

from __future__ import annotations

import json
from collections.abc import Sequence


def sequence(values: Sequence[float]) -> bytes:
    return json.dumps({"sequence": list(values)}).encode()


def sequence_steps(values: Sequence[float], steps: int) -> bytes:
    return json.dumps({"sequence": list(values), "steps": steps}).encode()


def v2(values: Sequence[float]) -> bytes:
    tensor = {"name": "x", "shape": [1, len(values)], "datatype": "FP32", "data": list(values)}
    return json.dumps({"inputs": [tensor]}).encode()


def batch_of_one(values: Sequence[float]) -> bytes:
    return json.dumps({"sequences": [list(values)]}).encode()


def read_prediction(body: bytes) -> float:
    return float(json.loads(body)["prediction"])


def read_number(body: bytes) -> float:
    return float(json.loads(body))


def read_first_number(body: bytes) -> float:
    return float(json.loads(body)[0])


def read_v2(body: bytes) -> float:
    return float(json.loads(body)["outputs"][0]["data"][0])
