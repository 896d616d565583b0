"""A real `python -m app` in a process of its own."""

import atexit
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx
import pytest

from tests.gate import VARIABLE, Gate
from tests.warm import Forked, Warm

_STARTUP_LIMIT_S = 180
ROOT = Path(__file__).parents[1]

Process = subprocess.Popen[bytes] | Forked

needs_edge = pytest.mark.skipif(
    os.environ.get("SINE_HTTP") == "uvicorn", reason="uvicorn's own protocol does not do this"
)
"""Marks a test of what only the HTTP edge does: limits, deadlines, load shedding and an end without loss."""


@dataclass(frozen=True)
class Server:
    """A server that is ready."""

    url: str
    process: Process
    log: Path
    startup_s: float
    """From the start of the process to the first 200 of /readyz."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return address(self.url)


def address(url: str) -> tuple[str, int]:
    """Host and port of a server."""
    parts = urlsplit(url)
    return str(parts.hostname), parts.port or 80


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


Way = Gate | Literal["cold"] | None
"""How a server starts: with a gate before its model's thread, as a command of its own, or in the quickest way."""


def start(folder: Path, way: Way = None, /, **settings: object) -> tuple[Process, Path]:
    """Start `python -m app` on a free port, with `settings` as SINE_* variables and its log in `folder`.

    The quickest way is to fork it from a process that has imported everything. A server of several workers has such a
    process of its own, so it always starts cold.
    """
    kept = {"SINE_HTTP"}  # `SINE_HTTP=uvicorn make test` tests all servers without the HTTP edge
    environment = {name: value for name, value in os.environ.items() if name in kept or not name.startswith("SINE_")}
    environment |= {"SINE_PORT": "0"} | {f"SINE_{name.upper()}": str(value) for name, value in settings.items()}
    command, planted = ["-m", "app"], None
    if isinstance(way, Gate):
        environment[VARIABLE], planted = str(way.path), "tests.gate:plant"
        command = ["-c", f"from tests.warm import become; become({planted!r})"]
    log = folder / "server.log"
    with log.open("wb") as output:
        if settings.get("workers") == 1 and way != "cold" and sys.platform == "linux":
            return _warm().fork(environment, output.fileno(), planted), log
        command = [sys.executable, *command]
        return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT), log


@cache
def _warm() -> Warm:
    warm = Warm(ROOT)
    atexit.register(warm.close)
    return warm


@contextmanager
def serve_together(*servers: AbstractContextManager[Server]) -> Iterator[tuple[Server, ...]]:
    """Ready servers, each from `serve`, that start at the same time."""
    with ExitStack() as stack:
        with ThreadPoolExecutor() as starting:
            ready = tuple(starting.map(stack.enter_context, servers))
        yield ready


def serve_both_ways(folder: Path, **settings: object) -> AbstractContextManager[tuple[Server, ...]]:
    """Two servers with the same settings: one with the hot path, and one without."""
    hot, plain = folder / "hot", folder / "plain"
    for each in (hot, plain):
        each.mkdir()
    return serve_together(serve(hot, **settings), serve(plain, hot_path=False, **settings))


@contextmanager
def serve(folder: Path, way: Way = None, /, **settings: object) -> Iterator[Server]:
    """A ready server, stopped at the end whatever happens. Arguments are those of `start`."""
    began = time.monotonic()
    process, log = start(folder, way, **settings)
    try:
        url = _wait_until_ready(process, log, began + _STARTUP_LIMIT_S)
        yield Server(url, process, log, time.monotonic() - began)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def fails_to_start(folder: Path, **settings: object) -> tuple[int, str]:
    """The status and the log of a server that must not start."""
    process, log = start(folder, **settings)
    try:
        status = process.wait(_STARTUP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return status, log.read_text()


def _wait_until_ready(process: Process, log: Path, deadline: float) -> str:
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}:\n{log.read_text()}")
        address = re.search(r"running on (http://[\d.]+:\d+)", log.read_text())
        if address is not None:
            try:
                if httpx.get(f"{address[1]}/readyz").status_code == httpx.codes.OK:
                    return address[1]
            except httpx.TransportError:
                pass
        time.sleep(0.02)
    raise TimeoutError(f"the server was not ready in {_STARTUP_LIMIT_S} s:\n{log.read_text()}")
