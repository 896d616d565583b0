"""Runs one of the registry's servers, checks its answers, and cleans up after it."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.processes import TOKEN, Family, guarded
from benchmarks.peers.registry import Peer, sample
from benchmarks.report import ROOT

TOLERANCE = 1e-4
"""A peer's answer may differ from the module's by this much, in the caller's unit: float32 sums depend on the batch."""


class PeerError(RuntimeError):
    """A peer did not start, did not get ready in time, or gave a wrong answer."""


@dataclass(frozen=True)
class Served:
    """A running peer."""

    url: str
    version: str
    ready_s: float
    """Seconds from the start of its process to the first 200 of `ready_path`."""
    start_s: float
    """Seconds from the start of its process to the first fifty right answers."""
    family: Family
    """Its processes. All other busy processes are not this peer's."""


@contextmanager
def serving(peer: Peer, python: Path, model: Path) -> Iterator[Served]:
    """Run `peer` with the interpreter `python` on a free port of 127.0.0.1, serving the TorchScript file `model`.

    Yields once the peer has given the right answer and all of its workers are idle. Leaving the context ends every
    process that it started, in all cases.

    Raises PeerError, with the end of the peer's output, if it exits early, is not ready within `peer.start_s`, or its
    answer differs from the module's.
    """
    expected = None if peer.is_floor else expected_prediction(model, sample())
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as folder:
        log = Path(folder, "log")
        token = secrets.token_hex(16)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SINE_")},
            # The peer can import the checkout from any folder, and the files that it writes stay in its own folder.
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "TMPDIR": folder,
            "HOME": folder,
            "OMP_NUM_THREADS": "1",
            "BENCH_MODEL": str(model.resolve()),
            "BENCH_WORKERS": str(peer.workers),
            TOKEN: token,
            **peer.environment,
        }
        port = _free_port()
        command = [str(python), *(part.format(port=port, model=model.resolve()) for part in peer.command)]
        began = time.monotonic()
        with log.open("wb") as output:
            leader = subprocess.Popen(  # noqa: S603
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        family = Family(leader.pid, token)
        with guarded(leader.pid, token):
            try:
                try:
                    _wait(peer, leader, port)
                    ready_s = time.monotonic() - began
                    _check(peer, port, expected)
                    start_s = time.monotonic() - began
                    family.settle()
                    version = _version(peer, python, port)
                except (PeerError, OSError, http.client.HTTPException) as error:
                    raise PeerError(f"{peer.name}: {error}\n{_tail(log)}") from error
                yield Served(f"http://127.0.0.1:{port}", version, ready_s, start_s, family)
            finally:
                family.stop(leader)


def expected_prediction(model: Path, values: Sequence[float]) -> float:
    """Return the TorchScript module's own prediction after `values`, normalised as every peer must."""
    import torch

    with torch.inference_mode():
        x_T = torch.tensor(values, dtype=torch.float32)
        scale = float(x_T.abs().max())
        if scale == 0.0:
            return 0.0
        y_BT, _ = torch.jit.load(str(model), map_location="cpu").eval()((x_T / scale)[None])  # type: ignore[no-untyped-call]
        return scale * float(y_BT[0, -1])


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _request(port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _wait(peer: Peer, leader: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + peer.start_s
    said = "no answer"
    while time.monotonic() < end:
        if leader.poll() is not None:
            raise PeerError(f"exited with status {leader.returncode} before it was ready")
        try:
            status, _ = _request(port, "GET", peer.ready_path, None, {})
            if status == 200:
                return
            said = f"status {status} from {peer.ready_path}"
        except (OSError, http.client.HTTPException) as error:
            said = repr(error)
        time.sleep(0.02)
    raise PeerError(f"not ready after {peer.start_s:.0f} s: {said}")


def _check(peer: Peer, port: int, expected: float | None) -> None:
    """Send enough requests that each worker has almost surely answered at least once."""
    values = sample()
    call = peer.predict
    for _ in range(50):
        status, body = _request(port, call.method, call.path, call.body(values), call.headers)
        if status != 200:
            raise PeerError(f"answered {status} to a right request: {body[:300]!r}")
        answer = peer.read_prediction(body)
        if expected is not None and not abs(answer - expected) <= TOLERANCE:
            raise PeerError(f"answered {answer}, the module says {expected}")


def _version(peer: Peer, python: Path, port: int) -> str:
    own = ""
    if peer.version_path is not None:
        _, body = _request(port, "GET", peer.version_path, None, {})
        own = str(json.loads(body)["version"])
    if peer.distribution is None:
        return own
    program = f"from importlib.metadata import version; print(version({peer.distribution!r}))"
    finished = subprocess.run([str(python), "-c", program], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    version = f"{peer.distribution} {finished.stdout.strip()}"
    return f"{version} (server {own})" if own else version


def _tail(log: Path, lines: int = 25) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
    return "\n".join(text.splitlines()[-lines:])
