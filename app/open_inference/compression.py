"""gzip and deflate, both ways, with a limit on what a body may grow to."""

import re
import zlib

from app.errors import BodyTooLarge, InvalidRequest, UnsupportedEncoding
from app.schemas import FieldError

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""For each coding what zlib calls it. HTTP's deflate is the zlib format (RFC 9110)."""

_FASTEST = 1
"""The level of compression: the digits of a forecast do not get much smaller with a better one."""

SMALLEST = 512
"""Bytes below which an answer is not compressed: it would not fit into fewer packets."""


def inflate(coding: str, body: bytes, max_bytes: int) -> bytes:
    """`body` without its Content-Encoding, which is `coding`. Never allocates more than about `max_bytes`.

    Raises:
        UnsupportedEncoding: it is another coding than gzip or deflate.
        BodyTooLarge: it grows beyond `max_bytes`.
        InvalidRequest: it is damaged, truncated, or goes on behind its end.
    """
    window = _WINDOWS.get(coding.strip().lower())
    if window is None:
        raise UnsupportedEncoding(_WINDOWS)
    reader = zlib.decompressobj(window)
    try:
        content = reader.decompress(body, max_bytes + 1)
    except zlib.error:
        raise _damaged() from None
    if len(content) > max_bytes:
        raise BodyTooLarge(max_bytes)
    if not reader.eof or reader.unused_data:
        raise _damaged()
    return content


def accepted_coding(header: str) -> str | None:
    """The coding to answer in, for the Accept-Encoding of a request; None for none."""
    weights: dict[str, str] = {}
    for part in header.split(","):
        coding, _, weight = part.partition(";")
        weights[coding.strip().lower()] = weight
    for coding in _WINDOWS:
        if coding in weights and not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weights[coding], re.IGNORECASE):
            return coding
    return None


def deflate(coding: str, content: bytes) -> bytes:
    """`content` in one of the two codings."""
    return zlib.compress(content, _FASTEST, _WINDOWS[coding])


def _damaged() -> InvalidRequest:
    return InvalidRequest([FieldError(pointer="", detail="it is not what its content-encoding says, from end to end")])
