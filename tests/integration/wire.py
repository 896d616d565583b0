"""HTTP/1.1 as bytes, for tests of how requests come in and answers go out."""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.server import Server
from tests.waiting import wait_for

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers by their names in lower case, body."""


def connected(server: Server) -> socket.socket:
    """A new connection, which sends whatever it is given at once."""
    connection = socket.create_connection(server.address, timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextmanager
def accepted(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, all of them accepted: each has had an answer."""
    with ExitStack() as stack:
        made = [stack.enter_context(connected(server)) for _ in range(count)]
        for connection in made:
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
            answers(connection, 1)
        yield made


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """In the block, the server's process stands still: what it is sent meanwhile, it finds in one turn."""
    server.process.send_signal(signal.SIGSTOP)
    wait_for("it to stand still", lambda: " T " in Path(f"/proc/{server.process.pid}/stat").read_text(), every_s=0.001)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def until_closed(client: socket.socket) -> bytes:
    """All that comes until the other side closes the connection, in whichever way."""
    received = b""
    with suppress(ConnectionError):
        while part := client.recv(65_536):
            received += part
    return received


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
