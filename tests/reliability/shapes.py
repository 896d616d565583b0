"""Requests that two servers could read differently, and the answers that this server has to give to each.

The families are those of the literature on request smuggling: two lengths (CL.CL), a length and chunks (CL.TE, TE.CL),
chunks under a name that only one of two servers knows (TE.TE), and an unexpected body (CL.0). Others are line ends and
folded lines, sizes of chunks, bytes after the last chunk, targets, hosts, upgrades and expectations.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.reliability.clients import BODY, HEAD

FOLLOWING = b"GET /model HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
"""The bytes after each shape. If the shape is taken, they are the next request, whose answer has a `digest`."""

_SIZE = b"%x" % len(BODY)
_CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
_LENGTH = b"content-length: %d\r\n" % len(BODY)
_GET = b"GET /livez HTTP/1.1\r\nhost: x\r\n"
_KEY = b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
_JDK = (
    b"POST /generate HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n%bHost: 127.0.0.1:8000\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nUpgrade: h2c\r\n"
    b"User-Agent: Java-http-client/17.0.15\r\nContent-Type: application/json\r\n\r\n"
)
_CURL = (
    b"POST /generate HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    b"content-type: application/json\r\n%b\r\n"
)
"""The heads that a JDK's HttpClient and `curl --http2` send, with a place for the framing of the body."""

_H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
_SOCKET = b"connection: upgrade\r\nupgrade: websocket\r\n" + _KEY


@dataclass(frozen=True)
class Shape:
    """The bytes of a connection, and the statuses of all answers. The server has to close the connection after them."""

    sent: bytes
    statuses: tuple[tuple[int, ...], ...]
    """The lists of statuses that are allowed; any of them is right."""


def _refused(*shapes: bytes) -> Iterator[Shape]:
    """Expect one 400, and no further reading, because the framing is in doubt. Or 408, if the end could still come."""
    for shape in shapes:
        yield Shape(shape + FOLLOWING, ((400,), (408,)))


def _taken(shape: bytes, *statuses: int) -> Shape:
    """Expect an answer to the shape and one to `FOLLOWING`, because the shape can be read in one way only."""
    return Shape(shape + FOLLOWING, ((*statuses, 200),))


def _ends(shape: bytes, *statuses: int) -> Shape:
    """Expect an answer to the shape alone. The bytes after it belong to it, or the server does not read them."""
    return Shape(shape, (statuses,))


def _chunk(size: bytes, data: bytes = BODY + b"\r\n", end: bytes = b"0\r\n\r\n") -> bytes:
    return _CHUNKED + size + b"\r\n" + data + end


def shapes() -> list[Shape]:
    """Return the shapes that are written by hand."""
    return [
        *_not_http(),
        *_hosts(),
        *_lengths_and_encodings(),
        *_chunks(),
        *_bodies_where_there_are_none(),
        *_ignored_protocols(),
        *_other_protocols(),
    ]


def offering(shape: Shape) -> Shape:
    """Return `shape` with an offer of h2c in its first request, which changes no answer. Leave out WebSockets."""
    if b"upgrade: websocket" in shape.sent:
        return shape
    return Shape(shape.sent.replace(b"host: x\r\n", b"host: x\r\n" + _H2C, 1), shape.statuses)


def _not_http() -> Iterator[Shape]:
    yield from _refused(
        b"\x00\x01\x02\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET\r\n\r\n",
        b"GET /livez\r\n",
        b"get /livez HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET\t/livez\tHTTP/1.1\r\nhost: x\r\n\r\n",
        b" GET /livez HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /li vez HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET / HTTP/01.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.10\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET / HTTP/1.1\nhost: x\n\n",  # bare LF
        b"GET / HTTP/1.1\r\nhost: x\nx: y\r\n\r\n",
        b"GET / HTTP/1.1\rhost: x\r\r",
        _GET + b"x: a\r\n folded\r\n\r\n",
        _GET + b"\tfolded: x\r\n\r\n",
        b"GET x:80 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http:///model HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://x:999999/model HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://[::/model HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    for target, status in ((b"http://x/livez", 200), (b"http://evil/livez", 200), (b"*", 404), (b"/%ff%00%zz", 404)):
        yield _taken(
            b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % target, status
        )  # servers have to accept an absolute target
    for path in (b"//livez", b"/../livez", b"/livez/", b"/;/livez", b"/./livez"):
        yield _taken(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path, 404)


def _hosts() -> Iterator[Shape]:
    line = b"GET /livez HTTP/1.1\r\n"
    yield from _refused(line + b"\r\n", line + b"host: x\r\nhost: x\r\n\r\n", line + b"host: x\r\nHOST: y\r\n\r\n")
    for host in (
        b"a b",
        b"\xff\xfe",
        b"x/y",
        b"x?y",
        b"x#y",
        b"user@x",
        b"http://x",
        b"x\\y",
        b"x\ty",
        b'"x"',
        b"x, y",
    ):
        yield from _refused(line + b"host: %b\r\n\r\n" % host)
    yield from _refused(HEAD.replace(b"host: x\r\n", b"") + _LENGTH + b"\r\n" + BODY)
    yield from _refused(HEAD + b"host: y\r\n" + _LENGTH + b"\r\n" + BODY)
    for host in (b"", b"x:80", b"[::1]:80", b"xn--nxasmq6b.example"):
        yield _taken(line + b"host: %b\r\n\r\n" % host, 200)
    yield _ends(b"GET /livez HTTP/1.0\r\n\r\n" + FOLLOWING, 200)


def _lengths_and_encodings() -> Iterator[Shape]:
    hidden = b"0\r\n\r\n" + FOLLOWING.replace(b"connection: close\r\n", b"")
    for framing in (
        b"content-length: 4\r\ncontent-length: 30\r\n",
        b"content-length: 4\r\ncontent-length: 4\r\n",
        b"content-length: 4\r\ntransfer-encoding: chunked\r\n",  # CL.TE
        b"transfer-encoding: chunked\r\ncontent-length: 4\r\n",  # TE.CL
        b"transfer-encoding: xchunked\r\n",  # TE.TE
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n",
        b"transfer-encoding : chunked\r\n",
        b" transfer-encoding: chunked\r\n",
        b"transfer-encoding:\x0bchunked\r\n",
        b"transfer-encoding: chunked\x00\r\n",
        b'transfer-encoding: "chunked"\r\n',
        b"transfer-encoding: chunked;q=1\r\n",
        b"transfer-encoding: chunked,\r\n",
        b"transfer-encoding: chun\r\n ked\r\n",
        b"transfer-encoding\r\n: chunked\r\n",
        b"transfer-encoding:\r\n",
        b"content-length: 4\r\ntransfer-encoding: identity\r\n",
        b"content-length: 4\r\ntransfer-encoding:\r\n",
        b"content-length: 4\r\n content-length: 0\r\n",
        b"content-length:\r\n",
        b"content-length: -1\r\n",
        b"content-length: +4\r\n",
        b"content-length: 0x4\r\n",
        b"content-length: 1e3\r\n",
        b"content-length: 3_5\r\n",
        b"content-length: 3 5\r\n",
        b"content-length: 4, 4\r\n",
        b"content-length: \xd9\xa3\r\n",
        b"content-length: 99999999999999999999999\r\n",
    ):
        yield from _refused(HEAD + framing + b"\r\n" + hidden)
    for length in (b"\t 35 \t", b"0035"):
        yield _taken(HEAD + b"content-length: %b\r\n\r\n" % length + BODY, 200)
    for encoding in (b"CHUNKED", b"\tchunked ", b",chunked"):
        yield _taken(_chunk(_SIZE).replace(b" chunked", encoding), 200)
    # HTTP/1.0 has no chunks. The server reads them nevertheless, and does not use the connection again.
    yield _ends(_chunk(_SIZE).replace(b"HTTP/1.1", b"HTTP/1.0") + FOLLOWING, 200)


def _chunks() -> Iterator[Shape]:
    yield _taken(_chunk(_SIZE), 200)
    for size in (b"000000000000000000" + _SIZE, _SIZE.upper(), _SIZE + b";a=b", _SIZE + b';a="b"'):
        yield _taken(_chunk(size), 200)
    yield _taken(_chunk(_SIZE, end=b"000\r\n\r\n"), 200)
    yield _taken(_chunk(b"1", data=BODY[:1] + b"\r\n%x\r\n" % (len(BODY) - 1) + BODY[1:] + b"\r\n"), 200)
    for size in (
        b"5",  # smaller than the data
        b"%x" % (len(BODY) + 9),
        b"+" + _SIZE,
        b"-" + _SIZE,
        b"0x" + _SIZE,
        b" " + _SIZE,
        _SIZE + b" ",
        _SIZE + b"\t",
        _SIZE + b"xyz",
        _SIZE + b";a\rb",
        _SIZE + b";a\nb",
        _SIZE + b";a\x00b",
        _SIZE + b'\r\n;a="b',
        b"",
        b"xyz",
        b"7fffffffffffffff",
        b"10000000000000023",
        b"ffffffffffffffffff",
    ):
        yield from _refused(_chunk(size))
    for data in (BODY, BODY + b"\n", BODY + b"\r", BODY + b"junk\r\n", BODY + b"\r\r\n", BODY + b"\n\r\n"):
        yield from _refused(_chunk(_SIZE, data))
    yield from _refused(_chunk(_SIZE).replace(b"\r\n" + BODY + b"\r\n", b"\n" + BODY + b"\n"))
    for end in (b"", b"0 x\r\n\r\n", b"0\r\n", b"0\n\n", b"-0\r\n\r\n", b"0\r\nx y\r\n\r\n", b"0\r\n x: y\r\n\r\n"):
        yield from _refused(_chunk(_SIZE, end=end))
    for trailer in (b"content-length: 500\r\n", b"transfer-encoding: chunked\r\n"):
        yield from _refused(_chunk(_SIZE, end=b"0\r\n%b\r\n" % trailer))
    # The bytes after the last chunk are no headers: neither a second Host nor the missing content type.
    yield _taken(_chunk(_SIZE, end=b"0\r\nhost: evil\r\nx-request-id: smuggled\r\n\r\n"), 200)
    untyped = _chunk(_SIZE, end=b"0\r\ncontent-type: application/json\r\n\r\n")
    yield _taken(untyped.replace(b"content-type: application/json\r\n", b"", 1), 422)


def _bodies_where_there_are_none() -> Iterator[Shape]:
    length = b"content-length: %d\r\n\r\n" % len(FOLLOWING)
    for method, path, status in ((b"GET", b"/livez", 200), (b"HEAD", b"/livez", 200), (b"OPTIONS", b"/model", 405)):
        line = b"%b %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" % (method, path)
        yield _ends(line + length + FOLLOWING, status)  # CL.0
        yield _ends(
            line + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(FOLLOWING), FOLLOWING), status
        )
        yield _taken(line.replace(b"connection: close\r\n", b"") + length + FOLLOWING, status)
    for expectation in (b"100-continue", b"100-Continue"):
        yield _taken(HEAD + _LENGTH + b"expect: %b\r\n\r\n" % expectation + BODY, 100, 200)
    for expectation in (b"200-ok", b"y 100-continue", b"100-continue, 100-continue"):
        yield _taken(HEAD + _LENGTH + b"expect: %b\r\n\r\n" % expectation + BODY, 200)
    yield _taken(_GET + b"expect: 100-continue\r\n" + length + FOLLOWING, 200)


def _ignored_protocols() -> Iterator[Shape]:
    """Offer protocols that are not spoken here. The bytes after the head are framed as without the offer."""
    live = b"GET /live HTTP/1.1\r\nhost: x\r\n"
    chunked = b"transfer-encoding: chunked\r\n\r\n%b\r\n%b\r\n0\r\n\r\n" % (_SIZE, BODY)
    followed = b"content-length: %d\r\n\r\n" % len(FOLLOWING) + FOLLOWING
    for head in (_JDK, _CURL):
        yield _taken(head % _LENGTH + BODY, 200)
        yield _taken((head % _LENGTH + BODY) * 2, 200, 200)
        yield _taken(head % b"Transfer-Encoding: chunked\r\n" + chunked.partition(b"\r\n\r\n")[2], 200)
        yield from _refused(head % (_LENGTH + b"transfer-encoding: chunked\r\n") + BODY)
    offers = [_H2C, _H2C.replace(b"h2c", b"TLS/1.0"), _H2C.replace(b"h2c", b"h2c, websocket"), _H2C.upper()]
    offers += [_H2C.replace(b": h2c", b":"), _H2C + b"upgrade: IRC/6.9\r\n", _H2C + _SOCKET]
    offers += [_SOCKET.replace(b": upgrade", b": x")]
    for offer in offers:
        yield _taken(_GET + offer + b"\r\n", 200)
        yield _taken(_GET + offer + followed, 200)  # CL.0
        yield _taken(live + offer + b"\r\n", 404)
        yield _taken(_GET.replace(b"GET", b"DELETE") + offer + followed, 405)
        yield _taken(HEAD + offer + _LENGTH + b"\r\n" + BODY, 200)
        yield _taken(HEAD + _LENGTH + offer + b"\r\n" + BODY, 200)
        yield _taken(HEAD + offer + chunked, 200)
        yield _taken(HEAD + offer + _LENGTH + b"expect: 100-continue\r\n\r\n" + BODY, 100, 200)
        yield _taken(_GET + b"\r\n" + (HEAD + offer + _LENGTH + b"\r\n" + BODY) * 3, 200, 200, 200, 200)
        yield _ends((HEAD + offer + _LENGTH + b"\r\n" + BODY).replace(b"HTTP/1.1", b"HTTP/1.0") + FOLLOWING, 200)
        yield _ends(HEAD + offer + b"connection: close\r\n" + _LENGTH + b"\r\n" + BODY + FOLLOWING, 200)
        yield from _refused(
            HEAD + offer + _LENGTH + chunked,
            HEAD + offer + b"transfer-encoding: chunked\r\n" + _LENGTH + b"\r\n0\r\n\r\n",
            HEAD + offer + _LENGTH + _LENGTH + b"\r\n" + BODY,
            HEAD + offer + b"host: y\r\n" + _LENGTH + b"\r\n" + BODY,
            _GET.replace(b"host: x\r\n", b"") + offer + b"\r\n",
        )
    # HTTP/1.0 has no other protocols.
    yield _ends(live.replace(b"HTTP/1.1", b"HTTP/1.0") + _SOCKET + b"\r\n" + FOLLOWING, 404)


def _other_protocols() -> Iterator[Shape]:
    live = b"GET /live HTTP/1.1\r\nhost: x\r\n"
    yield _ends(b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n" + FOLLOWING, 400)
    for headers in (b"", _H2C, b"connection: keep-alive\r\n"):
        yield _ends(b"CONNECT /model HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n" + FOLLOWING, 405)
    yield from _refused(
        HEAD + _LENGTH + _SOCKET + b"\r\n" + BODY,
        HEAD + _SOCKET + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT /model HTTP/1.1\r\nhost: x\r\n" + _H2C + _LENGTH + b"\r\n" + BODY,
        live + _SOCKET + b"content-length: %d\r\n\r\n" % len(FOLLOWING),
        live + _SOCKET.replace(b": 13", b": 777") + b"\r\n",
        live + _SOCKET.replace(_KEY, b"") + b"\r\n",
        # The second request would change the connection's protocol before the first answer is given.
        _GET + b"\r\n" + live + _SOCKET + b"\r\n",
        _GET + b"\r\n" + b"CONNECT /model HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    yield _ends(live + _SOCKET + b"x: y\r\n" * 300 + b"\r\n" + FOLLOWING, 431)
    yield _ends(live.replace(b"/live", b"/live?" + b"a" * 20_000) + _SOCKET + b"\r\n" + FOLLOWING, 414)
    yield _ends(_GET + _SOCKET + b"\r\n" + FOLLOWING, 403)
    yield _ends(HEAD + _SOCKET + b"\r\n" + FOLLOWING, 405)


def generated() -> Iterator[Shape]:
    """Put every byte at every place where it could hide a header or a size: some 6,000 shapes."""
    hidden = b"0\r\n\r\n" + FOLLOWING
    for byte in (bytes([value]) for value in range(256)):
        for other in (b"", b"content-length: %d\r\n" % len(hidden)):
            for name, value in (
                (byte + b"transfer-encoding", b" chunked"),
                (b"transfer" + byte + b"encoding", b" chunked"),
                (b"transfer-encoding" + byte, b" chunked"),
                (b"transfer-encoding", byte + b"chunked"),
                (b"transfer-encoding", b" " + byte + b" chunked"),
                (b"transfer-encoding", b" chun" + byte + b"ked"),
                (b"transfer-encoding", b" chunked" + byte),
                (b"transfer-encoding", b" chunked" + byte + b"x"),
            ):
                yield _encoded(name, value, other, hidden)
        for size in (byte + _SIZE, _SIZE + byte, _SIZE[:1] + byte + _SIZE[1:]):
            whole = size.lstrip(b"0") == _SIZE  # an extension needs a name: a lone semicolon is refused
            yield _taken(_chunk(size), 200) if whole else next(_refused(_chunk(size)))
        for length in (byte + b"35", b"35" + byte, b"3" + byte + b"5"):
            right = length.strip(b" \t").lstrip(b"0") == b"35"
            request = HEAD + b"content-length: %b\r\n\r\n" % length + BODY
            # Another number means another length. The rest is then no valid request, or does not arrive.
            yield _taken(request, 200) if right else Shape(request + FOLLOWING, ((400,), (408,), (413,), (422, 400)))


def _encoded(name: bytes, value: bytes, other: bytes, hidden: bytes) -> Shape:
    """Return a request whose body hides another request from a reader of chunks, or from a reader of lengths."""
    sent = HEAD + other + name + b":" + value + b"\r\n\r\n" + hidden
    is_encoding = name.lower() == b"transfer-encoding"
    is_chunked = is_encoding and value.strip(b" \t").lstrip(b", \t").lower() == b"chunked"
    if is_chunked and not other:
        return Shape(sent, ((422, 200), (400,)))  # an empty body, and the next request: nothing is hidden
    if other:
        return Shape(sent + FOLLOWING, ((400,), (422, 200)))  # a header of another name: the other length counts
    return Shape(sent, ((400,), (408,), (422, 400)))
