"""An open-loop load: requests leave when the schedule says so, whether or not the ones before have been answered.

A closed loop, where each connection waits for its answer, slows down with the server and so hides what overload does.
One loop over plain sockets, because the load shares the processors with the server: it costs a fifth of what asyncio
would take.
"""

import random
import re
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tests.server import address

_TIMEOUT_S, _CONNECTIONS = 30, 1_000
_length = re.compile(rb"content-length: *(\d+)", re.IGNORECASE).search


@dataclass(frozen=True)
class Kind:
    """Requests that are alike."""

    name: str
    path: str
    body: bytes

    @cached_property
    def wire(self) -> bytes:
        """The request as it is sent."""
        head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return head % (self.path.encode(), len(self.body)) + self.body


@dataclass(frozen=True)
class Answer:
    """What became of one request."""

    kind: str
    due_s: float
    """When it was to be sent, on the clock of the load."""

    took_s: float
    """From then until its last byte."""

    status: int
    """0: no answer."""

    retry_after: bool
    body: bytes


def quantile(answers: Sequence[Answer], fraction: float) -> float:
    """Seconds that this fraction of the answers took at most. Raises IndexError where there is none."""
    took = sorted(answer.took_s for answer in answers)
    return took[min(len(took) - 1, int(fraction * len(took)))]


def poisson(
    url: str,
    kinds: Sequence[Kind],
    rate: float,
    seconds: float,
    seed: int = 0,
    ahead: int = 0,
) -> list[Answer]:
    """Send requests of all kinds in turns at `rate` a second, and wait for what becomes of each.

    It has at most `_CONNECTIONS`. Who finds all of them busy waits for one, and this counts: those of a load
    balancer are not without number. So many are opened `ahead` of the first request, the others when they are needed.
    """
    draw = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    due_s, arrivals = 0.0, deque[tuple[float, Kind]]()
    while (due_s := due_s + draw.expovariate(rate)) < seconds:
        arrivals.append((due_s, kinds[len(arrivals) % len(kinds)]))
    return _Load(url, arrivals, ahead).run()


class _Connection:
    """One request at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, _TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due_s = 0.0

    def ask(self, due_s: float, kind: Kind) -> None:
        self.due_s, self.kind, self._received, self._end = due_s, kind, b"", 0
        self.socket.sendall(kind.wire)

    def answer(self, now_s: float) -> Answer | None:
        """Take what has come; None while it is not all."""
        try:
            part = self.socket.recv(65_536)
        except OSError:
            part = b""
        if not part:
            return self.lost(now_s)
        self._received += part
        if not self._end and (at := self._received.find(b"\r\n\r\n")) >= 0:
            self._head = self._received[:at].lower()
            found = _length(self._head)
            self._end = at + 4 + (int(found[1]) if found else 0)
        if not self._end or len(self._received) < self._end:
            return None
        took_s, retry_after = now_s - self.due_s, b"retry-after:" in self._head
        body = self._received[len(self._head) + 4 :]
        return Answer(self.kind.name, self.due_s, took_s, int(self._head.split(b" ", 2)[1]), retry_after, body)

    def lost(self, now_s: float) -> Answer:
        self._head = b"connection: close"
        return Answer(self.kind.name, self.due_s, now_s - self.due_s, 0, False, b"")

    def stays(self) -> bool:
        return b"connection: close" not in self._head


class _Load:
    def __init__(self, url: str, arrivals: deque[tuple[float, Kind]], ahead: int) -> None:
        self._address = address(url)
        self._arrivals = arrivals
        self._epoll = select.epoll()
        self._idle, self._busy = [self._connect() for _ in range(ahead)], dict[int, _Connection]()
        self._began = time.monotonic()

    def run(self) -> list[Answer]:
        answers = list[Answer]()
        while self._arrivals or self._busy:
            self._send()
            if self._arrivals and len(self._busy) < _CONNECTIONS:
                wait_s = max(0.0, self._arrivals[0][0] - self._now_s())
            else:
                wait_s = 1.0
            for descriptor, _ in self._epoll.poll(wait_s):
                if answer := self._busy[descriptor].answer(self._now_s()):
                    self._end(descriptor)
                    answers.append(answer)
            if self._busy and self._now_s() - (oldest := next(iter(self._busy.values()))).due_s > _TIMEOUT_S:
                answers.append(oldest.lost(self._now_s()))
                self._end(oldest.socket.fileno())
        for connection in self._idle:
            connection.socket.close()
        return answers

    def _send(self) -> None:
        while self._arrivals and self._arrivals[0][0] <= self._now_s() and len(self._busy) < _CONNECTIONS:
            connection = self._idle.pop() if self._idle else self._connect()
            connection.ask(*self._arrivals.popleft())
            self._busy[connection.socket.fileno()] = connection

    def _connect(self) -> _Connection:
        connection = _Connection(self._address)
        self._epoll.register(connection.socket, select.EPOLLIN)
        return connection

    def _end(self, descriptor: int) -> None:
        connection = self._busy.pop(descriptor)
        if connection.stays():
            self._idle.append(connection)
        else:
            connection.socket.close()

    def _now_s(self) -> float:
        return time.monotonic() - self._began
