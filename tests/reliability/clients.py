"""Raw connections to one server, what it holds of them, and the client that is honest meanwhile."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.reliability.results import Result
from tests.server import Server

RECEIVE_S = 0.9
"""How long the server that is checked waits for a client. It looks at the clock once a second."""

BODY = b'{"sequence": [1, 2, 3], "steps": 5}'
HEAD = b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
REQUEST = HEAD + b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)


def statuses(answer: bytes) -> list[int]:
    """The statuses of all answers on a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def assert_others_are_served(server: Server) -> None:
    answer = httpx.post(f"{server.url}/generate", content=BODY, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert len(answer.json()["values"]) == 5


def assert_no_errors(server: Server) -> None:
    """Assert that the log has no line of level ERROR, and that it has lines at all."""
    levels = {json.loads(line)["level"] for line in server.log.read_text().splitlines()}
    assert "INFO" in levels
    assert "ERROR" not in levels


def resident_mb(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1e3


def descriptors(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


@dataclass
class Honest:
    """What became of the requests of a client that does nothing wrong."""

    sent: int = 0
    wrong: int = 0
    lost: int = 0

    def result(self, check: str, tried: int, wrong: int = 0, growth: float | None = None) -> Result:
        """The row of a check that has also sent `tried` requests of its own, `wrong` of which were treated wrongly.

        A request of the check is answered where it was refused, or its connection closed, as it had to be.
        """
        wrong, sent = wrong + self.wrong, self.sent + tried
        return Result(check, tried, sent, sent - wrong - self.lost, wrong, self.lost, growth=growth)


@contextlib.contextmanager
def honest(server: Server) -> Iterator[Honest]:
    """In the block, a client asks on a connection of its own, all the time, and compares every answer to the byte.

    It may be told to come again where the others have too much work done.
    """
    counts, stop = Honest(), threading.Event()

    def ask(client: httpx.Client, right: bytes) -> None:
        while not stop.wait(0.005):
            counts.sent += 1
            try:
                answer = client.post("/generate", content=BODY)
            except httpx.TransportError:
                counts.lost += 1
            else:
                is_right = answer.status_code == 200 and answer.content == right
                counts.wrong += not (is_right or (answer.status_code == 503 and "retry-after" in answer.headers))

    headers, kept = {"content-type": "application/json"}, httpx.Limits(keepalive_expiry=RECEIVE_S / 2)
    with httpx.Client(base_url=server.url, headers=headers, timeout=10, limits=kept) as client:
        right = client.post("/generate", content=BODY)
        assert right.status_code == 200
        asking = threading.Thread(target=ask, args=(client, right.content))
        asking.start()
        try:
            yield counts
        finally:
            stop.set()
            asking.join()
