"""HTTP/1.1 as bytes, for tests of how requests come in and answers go out."""

import socket
from urllib.parse import urlsplit

from tests.server import Server

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers by their names in lower case, body."""


def connected(server: Server) -> socket.socket:
    """A new connection, which sends whatever it is given at once."""
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def post(body: bytes, headers: bytes = b"", path: str = "/generate", version: str = "1.1") -> bytes:
    """A request; `headers` are whole lines."""
    head = f"POST {path} HTTP/{version}\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + headers + b"\r\n" + body


def answers(connection: socket.socket, count: int) -> list[Answer]:
    """The next answers on a connection. All of them have a length."""
    found = []
    with connection.makefile("rb") as received:
        for _ in range(count):
            status = int(received.readline().split()[1])
            lines = iter(lambda: received.readline().decode().strip(), "")
            headers = {name.lower(): text for name, text in (line.split(": ", 1) for line in lines)}
            found.append((status, headers, received.read(int(headers["content-length"]))))
    return found
