"""The access log: a line for each request. Of what a client sent, a line holds nothing but a harmless id.

A line through `logging` would cost more than all metrics of a request. So the lines of `DELAY_S` are written together.
They are made without a serialiser, which would take three times as long: no field can need an escape. They have the
same form as all other lines (`app/telemetry/logs.py`).
"""

import asyncio
import os
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from select import PIPE_BUF
from typing import Literal

from app.telemetry.context import RequestContext

STDERR = 2

DELAY_S = 0.05
"""Seconds that a line may wait. A worker that is killed loses the waiting lines."""

_FORMS = {
    "json": (
        b'{"time":"%b","level":"INFO","logger":"app.access","message":"request",'
        b'"request_id":"%b","route":"%b","status":%d,"duration_s":%.6f,"work":%d%b%b}\n',
        b',"trace_id":"%b"',
        b',"key":"%b"',
    ),
    "text": (b"%b INFO     app.access: request %b: %b %d in %.6f s, %d steps%b%b\n", b", trace %b", b", key of %b"),
}

Flush = Callable[[], None]


def in_a_moment(flush: Flush) -> None:
    """Call `flush` after `DELAY_S`, from the event loop that is running."""
    asyncio.get_running_loop().call_later(DELAY_S, flush)


class AccessLog:
    """Writes the lines of the access log."""

    def __init__(
        self, form: Literal["json", "text"], file: int = STDERR, later: Callable[[Flush], object] = in_a_moment
    ) -> None:
        """`file` is a descriptor. `later` arranges that `flush` is called."""
        self._line, self._trace, self._owner = _FORMS[form]
        self._file = file
        self._is_pipe = stat.S_ISFIFO(os.fstat(file).st_mode)
        self._later = later
        self._waiting = b""
        """The lines that are not written yet."""

    def add(self, requests: Iterable[RequestContext]) -> None:
        """Append the lines of requests that have just ended to the waiting ones."""
        line, trace, owner = self._line, self._trace, self._owner
        now = timestamp(time.time()).encode()
        if not self._waiting:
            self._later(self.flush)
        self._waiting += b"".join(
            [
                line
                % (
                    *(now, r.id, r.route.path, r.status, r.duration_s, r.work),
                    r.trace_id and trace % r.trace_id,
                    r.owner and owner % r.owner,
                )
                for r in requests
            ]
        )

    def flush(self) -> None:
        """Write all waiting lines. A log that cannot be written makes no request fail."""
        lines, self._waiting = self._waiting, b""
        with suppress(OSError):
            while self._is_pipe and len(lines) > PIPE_BUF:  # a larger write could mix with other workers' lines
                end = lines.rindex(b"\n", 0, PIPE_BUF) + 1
                os.write(self._file, lines[:end])
                lines = lines[end:]
            os.write(self._file, lines)


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def timestamp(time_s: float) -> str:
    """A time of `time.time` in the form of all log lines: ISO 8601, in UTC, with milliseconds."""
    second = int(time_s)
    return f"{_second(second)}.{int(1000 * (time_s - second)):03d}Z"
