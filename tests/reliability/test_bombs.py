"""Tests of bodies below /v2 that are small on the wire: decompression takes bounded memory, damage is refused."""

import gzip
import json
import zlib

import httpx
import pytest

from tests.reliability.clients import assert_others_are_served, resident_mb
from tests.reliability.results import Result, Results
from tests.server import Server

INFER = json.dumps({"inputs": [{"name": "sequence", "shape": [1, 3], "datatype": "FP64", "data": [0.1, 0.2, 0.3]}]})
CODINGS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
MOST_MB = 40


def zeros(coding: str, megabytes: int) -> bytes:
    """Compress this many megabytes of zeros, without holding them all at once."""
    writer, part = zlib.compressobj(9, zlib.DEFLATED, CODINGS[coding]), bytes(1_000_000)
    return b"".join(writer.compress(part) for _ in range(megabytes)) + writer.flush()


def damaged() -> list[tuple[str, bytes]]:
    """Return bodies that do not match their coding."""
    right = {"gzip": gzip.compress(INFER.encode()), "deflate": zlib.compress(INFER.encode())}
    bodies = []
    for coding, body in right.items():
        other = right["deflate" if coding == "gzip" else "gzip"]
        flipped = bytes([*body[:20], body[20] ^ 0xFF, *body[21:]])
        sums = body[:-4] + b"\x00\x00\x00\x00"  # gzip: the size, deflate: the sum
        bodies += [(coding, each) for each in (body[:-1], body[:10], b"", flipped, sums, body * 2, body + b"x", other)]
        bodies.append((coding, gzip.compress(body)))
    return bodies


def test_bombs_are_refused_in_bounded_memory(patient: Server, results: Results, full: bool) -> None:
    url = f"{patient.url}/v2/models/small/infer"

    def status(coding: str, body: bytes) -> int:
        headers = {"content-type": "application/json", "content-encoding": coding}
        return httpx.post(url, content=body, headers=headers, timeout=60).status_code

    for coding, body in (("gzip", gzip.compress(INFER.encode())), ("deflate", zlib.compress(INFER.encode()))):
        assert status(coding, body) == 200
    before = resident_mb(patient)
    grown, statuses = 0.0, []
    for megabytes in (10, 100, 1000) if full else (10, 100):
        for coding in CODINGS:
            bomb = zeros(coding, megabytes)
            statuses += [status(coding, bomb), status(coding, gzip.compress(bomb))]
            grown = max(grown, resident_mb(patient) - before)
    bombs = len(statuses)
    assert {*statuses} <= {400, 413}, "a bomb is too large, or its inside is not JSON"
    statuses += [status(coding, body) for coding, body in damaged()]
    assert {*statuses[bombs:]} == {400}
    assert grown < MOST_MB
    assert_others_are_served(patient)
    row = f"bombs of gzip and deflate, up to {'1 GB' if full else '100 MB'}"
    results.add(Result(row, len(statuses), len(statuses), len(statuses), 0, 0, growth=grown / before))


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "gzip;q=1", "x" * 1000])
def test_an_unsupported_coding_is_415(patient: Server, coding: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": coding}
    assert httpx.post(f"{patient.url}/v2/models/small/infer", content=INFER, headers=headers).status_code == 415
