"""Compression and decompression by gzip and deflate, with a limit on the size of a decompressed body."""

import re
import zlib

from app.errors import BodyTooLarge, InvalidRequest, UnsupportedEncoding
from app.schemas import FieldError

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""The window bits by which zlib knows each coding. HTTP's deflate is the zlib format (RFC 9110)."""

_FASTEST = 1
"""The level of compression. A better one hardly makes the digits of a forecast smaller."""

SMALLEST = 512
"""An answer of fewer bytes is not compressed, because it would not need fewer packets."""


def inflate(coding: str, body: bytes, max_bytes: int) -> bytes:
    """Decompress a body whose Content-Encoding is `coding`. Never allocates more than about `max_bytes`.

    Raises:
        UnsupportedEncoding: the coding is neither gzip nor deflate.
        BodyTooLarge: the content has more than `max_bytes`.
        InvalidRequest: the body is damaged or truncated, or has bytes after its end.
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
    """The coding of the answer to a request with this Accept-Encoding. None for no coding."""
    weights: dict[str, str] = {}
    for part in header.split(","):
        coding, _, weight = part.partition(";")
        weights[coding.strip().lower()] = weight
    for coding in _WINDOWS:
        if coding in weights and not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weights[coding], re.IGNORECASE):
            return coding
    return None


def deflate(coding: str, content: bytes) -> bytes:
    """Compress `content` in one of the two codings."""
    return zlib.compress(content, _FASTEST, _WINDOWS[coding])


def _damaged() -> InvalidRequest:
    return InvalidRequest([FieldError(pointer="", detail="it is not what its content-encoding says, from end to end")])
