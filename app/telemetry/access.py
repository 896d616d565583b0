"""The access log: a line for each request, with what is known of it and nothing that a client sent but a harmless id.

A line through `logging` would cost more than all that is counted. So several are written with one system call, and put
together without a serialiser, which would take three times as long: no field can need an escape. Their form is that
which `app/telemetry/logs.py` gives to all other lines.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from select import PIPE_BUF
from typing import Literal

from app.telemetry.observation import Observation

STDERR = 2

_FORMS = {
    "json": (
        b'{"time":"%b","level":"INFO","logger":"app.access","message":"request",'
        b'"request_id":"%b","route":"%b","status":%d,"duration_s":%.6f,"work":%d%b}\n',
        b',"trace_id":"%b"',
    ),
    "text": (b"%b INFO     app.access: request %b: %b %d in %.6f s, %d steps%b\n", b", trace %b"),
}


class AccessLog:
    """Writes the lines of requests."""

    def __init__(self, form: Literal["json", "text"], file: int = STDERR) -> None:
        """`file` is the descriptor of where they go."""
        self._line, self._trace = _FORMS[form]
        self._file = file

    def write(self, requests: Iterable[Observation]) -> None:
        """Write the lines of requests that have just ended. A log that cannot be written fails none of them."""
        line, trace = self._line, self._trace
        now = timestamp(time.time()).encode()
        lines = b"".join(
            [
                line % (now, r.id, r.route.path, r.status, r.duration_s, r.work, r.trace_id and trace % r.trace_id)
                for r in requests
            ]
        )
        with suppress(OSError):
            while len(lines) > PIPE_BUF:  # more at once, into a pipe, could get mixed with the lines of other workers
                end = lines.rindex(b"\n", 0, PIPE_BUF) + 1
                os.write(self._file, lines[:end])
                lines = lines[end:]
            os.write(self._file, lines)


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def timestamp(time_s: float) -> str:
    """A time of `time.time` as all log lines have it: ISO 8601, in UTC, with milliseconds."""
    second = int(time_s)
    return f"{_second(second)}.{int(1000 * (time_s - second)):03d}Z"
