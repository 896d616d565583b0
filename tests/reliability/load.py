"""A closed loop: connections that ask one thing after the other, each when it has the answer to the last."""

import asyncio
import re

from tests.server import address


class _Connection(asyncio.Protocol):
    """One request at a time. Half the cost of asyncio's streams: the load shares the processors with the server."""

    def __init__(self) -> None:
        self._received = b""
        self._head = b""
        self._length = -1
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer."""
        if self.transport.is_closing():
            raise ConnectionResetError
        self._answer = asyncio.get_running_loop().create_future()
        self._received, self._length = b"", -1
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._length < 0:
            self._head, end, self._received = self._received.partition(b"\r\n\r\n")
            if not end:
                self._received, self._head = self._head, b""
                return
            found = re.search(rb"content-length: *(\d+)", self._head, re.IGNORECASE)
            self._length = int(found[1]) if found else 0
        if len(self._received) >= self._length and self._answer is not None and not self._answer.done():
            self._answer.set_result((self._head, self._received))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or EOFError())


_CONNECT_S = 10


class NotConnected(OSError):
    """Nobody listens, or the network is gone: no request was sent."""


class Connections:
    """Idle connections to one server, as many as were needed at once."""

    def __init__(self, url: str) -> None:
        self._address = address(url)
        self._idle: list[_Connection] = []

    async def post(self, path: str, body: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers and body of an answer.

        Raises:
            NotConnected: no connection could be made.
            OSError, EOFError: the request was sent, and there is no answer.
        """
        if self._idle:
            connection = self._idle.pop()
        else:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    _, connection = await asyncio.get_running_loop().create_connection(_Connection, *self._address)
            except OSError as error:
                raise NotConnected from error
        try:
            head, content = await connection.ask(
                b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (path.encode(), len(body), body)
            )
        except BaseException:
            connection.transport.close()
            raise
        first, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if headers.get(b"connection") == b"close":
            connection.transport.close()
        else:
            self._idle.append(connection)
        return int(first.split()[1]), headers, content

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            connection.transport.close()
        self._idle.clear()
