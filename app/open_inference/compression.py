"""gzip and deflate for requests and answers, with a limit on the size that a body may grow to."""

import re
import zlib
from contextlib import suppress

from app.api.parsing import invalid
from app.errors import BodyTooLarge, UnsupportedEncoding

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""zlib's parameter `wbits` for each coding. HTTP's deflate is the zlib format (RFC 9110)."""

CODINGS = tuple(_WINDOWS)
"""The codings that a body and an answer may have."""

SMALLEST = 512
"""The size in bytes below which an answer is not compressed: it would not fit into fewer packets."""

_refused = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*", re.IGNORECASE).fullmatch


def inflate(coding: str, body: bytes, max_bytes: int) -> bytes:
    """Decompress a body whose coding is `coding`, as `content_coding` returns it.

    Never allocates more than about `max_bytes`.

    Raises:
        UnsupportedEncoding: the coding is neither gzip nor deflate.
        BodyTooLarge: the content exceeds `max_bytes`.
        InvalidRequest: the body is damaged or truncated, or continues after its end.
    """
    window = _WINDOWS.get(coding)
    if window is None:
        raise UnsupportedEncoding(CODINGS)
    reader, content = zlib.decompressobj(window), b""
    with suppress(zlib.error):  # a damaged body does not reach its end
        content = reader.decompress(body, max_bytes + 1)
    if len(content) > max_bytes:
        raise BodyTooLarge(max_bytes)
    if not reader.eof or reader.unused_data:
        raise invalid("", "it is not what its content-encoding says, from end to end")
    return content


def accepted_coding(header: str) -> str | None:
    """Choose the coding of the answer to a request with this Accept-Encoding; None for no compression."""
    if not header:
        return None
    parts = [part.partition(";") for part in header.split(",")]
    weights = {coding.strip().lower(): weight for coding, _, weight in parts}
    return next((coding for coding in _WINDOWS if coding in weights and not _refused(weights[coding])), None)


def deflate(coding: str, content: bytes) -> bytes:
    """Compress an answer with gzip or deflate, at the fastest level: a better one hardly makes digits smaller."""
    return zlib.compress(content, zlib.Z_BEST_SPEED, _WINDOWS[coding])
