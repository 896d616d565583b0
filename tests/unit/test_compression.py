"""Tests of gzip and deflate: content is restored, output stays within the limit, and damaged input is refused."""

import gzip
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BodyTooLarge, InvalidRequest, UnsupportedEncoding
from app.open_inference.compression import accepted_coding, deflate, inflate

codings = st.sampled_from(["gzip", "deflate"])


@given(codings, st.binary(max_size=2000))
def test_compressed_content_is_restored(coding: str, content: bytes) -> None:
    compressed = deflate(coding, content)
    assert inflate(coding, compressed, len(content)) == content
    assert (gzip if coding == "gzip" else zlib).decompress(compressed) == content


@given(codings, st.binary(min_size=1, max_size=500), st.data())
def test_truncated_or_overlong_content_is_refused(coding: str, content: bytes, data: st.DataObject) -> None:
    compressed = deflate(coding, content)
    cut = data.draw(st.integers(0, len(compressed) - 1))
    for damaged in (compressed[:cut], compressed + b"\0", compressed * 2):
        with pytest.raises(InvalidRequest, match="content-encoding"):
            inflate(coding, damaged, 10_000)


@given(codings, st.binary(max_size=200))
def test_any_body_is_read_or_refused(coding: str, body: bytes) -> None:
    with suppress(InvalidRequest, BodyTooLarge):
        assert len(inflate(coding, body, 1000)) <= 1000


@given(codings, st.integers(0, 100))
def test_the_limit_applies_to_the_decompressed_size(coding: str, excess: int) -> None:
    compressed = deflate(coding, bytes(1000 + excess))
    if excess == 0:
        assert len(inflate(coding, compressed, 1000)) == 1000
    else:
        with pytest.raises(BodyTooLarge):
            inflate(coding, compressed, 1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_takes_no_more_memory_than_the_limit(coding: str) -> None:
    bomb = deflate(coding, bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge, match="at most 100000 bytes"):
            inflate(coding, bomb, 100_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(bomb) + 1_000_000


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "", "\u00e9"])
def test_another_coding_is_refused_without_repeating_it(coding: str) -> None:
    with pytest.raises(UnsupportedEncoding, match="one of gzip, deflate") as refused:
        inflate(coding, b"", 10)
    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("br, GZIP;q=0.5 , deflate", "gzip"),
        ("gzip;q=0, deflate;q=0.1", "deflate"),
        ("gzip; q=0.000, deflate ;Q=0.", None),
        ("", None),
        ("identity", None),
        ("*", None),
        ("xgzip", None),
    ],
)
def test_the_answer_is_in_a_coding_that_is_accepted(header: str, coding: str | None) -> None:
    assert accepted_coding(header) == coding
