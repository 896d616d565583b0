"""An open-loop load: requests leave when the schedule says so, whether or not the ones before have been answered.

A closed loop, where each connection waits for its answer, slows down with the server and so hides what overload does.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What became of one request."""

    kind: str
    sent_s: float
    """When it was due, on the clock of the load."""

    took_s: float
    """From then until its last byte."""

    status: int
    """0: no answer."""

    retry_after: bool
    body: bytes


@dataclass(frozen=True)
class Kind:
    """Requests that are alike."""

    name: str
    path: str
    body: bytes


class Connections:
    """Idle connections to one server, as many as were needed at once."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._address = (address.hostname, address.port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers and body of an answer. Raises OSError or EOFError where there is none."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._address)
        try:
            writer.write(
                b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (path.encode(), len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
            content = await reader.readexactly(int(headers.get(b"content-length", 0)))
        except BaseException:
            writer.close()
            raise
        if headers.get(b"connection") == b"close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(first.split()[1]), headers, content

    def close(self) -> None:
        """Close what is idle."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


async def poisson(
    url: str, kinds: Sequence[Kind], rate: float, seconds: float, seed: int = 0, timeout_s: float = 30
) -> list[Answer]:
    """Send requests of all kinds in turns at `rate` a second, and wait for what becomes of each."""
    draw = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    connections, answers = Connections(url), list[Answer]()
    began = time.monotonic()

    async def one(kind: Kind, due_s: float) -> None:
        status, headers, body = 0, dict[bytes, bytes](), b""
        try:
            async with asyncio.timeout(timeout_s):
                status, headers, body = await connections.post(kind.path, kind.body)
        except (OSError, EOFError, TimeoutError):
            pass
        took_s = time.monotonic() - began - due_s
        answers.append(Answer(kind.name, due_s, took_s, status, b"retry-after" in headers, body))

    async with asyncio.TaskGroup() as group:
        due_s, number = 0.0, 0
        while (due_s := due_s + draw.expovariate(rate)) < seconds:
            await asyncio.sleep(max(0.0, due_s - (time.monotonic() - began)))
            group.create_task(one(kinds[number % len(kinds)], due_s))
            number += 1
    connections.close()
    return answers


def statuses(answers: Sequence[Answer]) -> Counter[int]:
    """How many answers there were of each status."""
    return Counter(answer.status for answer in answers)


def quantile(answers: Sequence[Answer], fraction: float) -> float:
    """Seconds that this fraction of the answers took at most. Raises IndexError where there is none."""
    took = sorted(answer.took_s for answer in answers)
    return took[min(len(took) - 1, int(fraction * len(took)))]
