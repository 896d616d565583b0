"""Runs wrk against a server on this machine and reads its measurements.

wrk is a closed loop: each connection sends its next request after the last answer. Its latencies are therefore those of
a server under exactly `connections` requests at a time. A stall counts once, not once for each request that an open
loop would have sent meanwhile.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_MARK = "WRK-RESULT "

# wrk passes times to done() in microseconds. The body comes from a file, so none of its bytes needs escaping for Lua.
_SCRIPT = """
wrk.method = {method}
local file = assert(io.open({body_path}, "rb"))
wrk.body = file:read("*a")
file:close()
{headers}
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{mark}{{"requests":%d,"duration_us":%d,"bytes":%d,"mean":%.3f,"p50":%.3f,"p90":%.3f,"p99":%.3f,"p999":%.3f,' ..
    '"max":%.3f,"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}}\\n',
    summary.requests, summary.duration, summary.bytes, latency.mean, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency:percentile(99.9), latency.max, e.connect, e.read, e.write, e.timeout, e.status))
end
"""


class WrkError(RuntimeError):
    """wrk is not installed, did not end, or printed no result."""


@dataclass(frozen=True)
class WrkResult:
    """The result of one run of wrk. Latencies are milliseconds, from the last byte written to the last byte read."""

    requests_per_second: float
    """Number of answers a second with a status below 400. Errors do not count, because fast errors must not look like
    speed.
    """
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    requests: int
    """Number of answers with any status."""
    errors: int
    """Number of sockets that failed to connect, read or write, and of requests that timed out."""
    non_2xx: int
    """Number of answers with a status of 400 or more. (wrk counts a redirect as a success.)"""
    bytes_per_second: float
    """Number of bytes read a second, headers included."""


def run(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    connections: int,
    seconds: int,
    *,
    method: str = "POST",
    threads: int | None = None,
    timeout_s: int = 10,
) -> WrkResult:
    """Send the same request over `connections` connections for `seconds` seconds.

    By default wrk has 1 thread up to 16 connections and 2 above, because it shares the cores with the server. A request
    that takes longer than `timeout_s` seconds counts as an error.

    Raises ValueError for an address that is not this machine's own, WrkError if wrk cannot be run.
    """
    if urlsplit(url).hostname not in _LOOPBACK:
        raise ValueError(f"wrk may only load this machine, not {url}")
    if connections < 1 or seconds < 1:
        raise ValueError("connections and seconds must be at least 1")
    threads = min(connections, threads or (1 if connections <= 16 else 2))
    program = shutil.which("wrk")
    if program is None:
        raise WrkError("wrk is not installed (Debian's package is named wrk)")
    with tempfile.TemporaryDirectory(prefix="wrk-") as folder:
        body_path, script_path = Path(folder, "body"), Path(folder, "request.lua")
        body_path.write_bytes(body)
        script_path.write_text(
            _SCRIPT.format(
                method=_lua(method),
                body_path=_lua(str(body_path)),
                headers="\n".join(f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in headers.items()),
                mark=_MARK,
            )
        )
        command = [program, f"-t{threads}", f"-c{connections}", f"-d{seconds}s", f"--timeout={timeout_s}s"]
        try:
            finished = subprocess.run(  # noqa: S603
                [*command, "-s", str(script_path), url],
                capture_output=True,
                text=True,
                timeout=seconds + timeout_s + 30,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WrkError(f"wrk did not end within {error.timeout} s") from error
    for line in finished.stdout.splitlines():
        if line.startswith(_MARK):
            return _result(json.loads(line.removeprefix(_MARK)))
    raise WrkError(f"wrk printed no result (exit status {finished.returncode}): {finished.stdout}{finished.stderr}")


def _lua(text: str) -> str:
    """Return a Lua string literal. Every byte that is not plain ASCII becomes a decimal escape."""
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:03d}" for byte in text.encode()
    )
    return f'"{plain}"'


def _result(raw: Mapping[str, float]) -> WrkResult:
    duration_s = raw["duration_us"] / 1e6
    return WrkResult(
        requests_per_second=(raw["requests"] - raw["status"]) / duration_s,
        mean_ms=raw["mean"] / 1e3,
        p50_ms=raw["p50"] / 1e3,
        p90_ms=raw["p90"] / 1e3,
        p99_ms=raw["p99"] / 1e3,
        p999_ms=raw["p999"] / 1e3,
        max_ms=raw["max"] / 1e3,
        requests=int(raw["requests"]),
        errors=int(raw["connect"] + raw["read"] + raw["write"] + raw["timeout"]),
        non_2xx=int(raw["status"]),
        bytes_per_second=raw["bytes"] / duration_s,
    )
