"""Every rival server: how it is started, asked and read, and `serving`, which runs one of them and cleans up after it.

Imports neither PyTorch nor any framework, so that it can be read, listed and tested anywhere.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import pi, sin
from pathlib import Path

from benchmarks.peers.processes import TOKEN, Family, guarded

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: peers are started as modules of it."""
TOLERANCE = 1e-4
"""A peer's answer may differ from the module's own by this much, in the caller's unit: float32, batched otherwise."""


class PeerError(RuntimeError):
    """A peer did not start, did not get ready in time, or gave a wrong answer."""


@dataclass(frozen=True)
class Call:
    """One kind of request."""

    path: str
    body: Callable[..., bytes]
    """For /predict: the values. For /generate: the values and the number of steps."""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Peer:
    """A server to be measured, and all that differs between it and the others."""

    name: str
    requirements: str
    """Names `requirements-NAME.txt` beside this module, and the environment made from it."""
    distribution: str
    """The package whose version is reported."""
    command: tuple[str, ...]
    """Arguments for that environment's python; `{port}` stands for the port, on 127.0.0.1."""
    ready_path: str
    """Answers 200 to a GET once the server can be asked."""
    predict: Call
    read_prediction: Callable[[bytes], float]
    environment: Mapping[str, str] = field(default_factory=dict)
    generate: Call | None = None
    version_path: str | None = None
    """Where a GET answers JSON with the server's own `version`, if that is not the package's."""
    workers: int = 2
    """`BENCH_WORKERS`: the number of processes, or instances, that serve best on two cores."""
    is_floor: bool = False
    """A floor answers a constant: its answer is not checked, and it is no rival."""
    start_s: float = 90.0
    """Seconds within which it must answer. A bound against hanging, not a target."""


@dataclass(frozen=True)
class Served:
    """A running peer."""

    url: str
    version: str
    start_s: float
    """Seconds from the start of its process to the first right answer."""
    cpu_seconds: Callable[[], float]
    """Processor time that its processes have used so far: what else was busy meanwhile was not this peer."""


def _sequence(values: Sequence[float]) -> bytes:
    return json.dumps({"sequence": list(values)}).encode()


def _sequence_steps(values: Sequence[float], steps: int) -> bytes:
    return json.dumps({"sequence": list(values), "steps": steps}).encode()


def _v2(values: Sequence[float]) -> bytes:
    tensor = {"name": "x", "shape": [1, len(values)], "datatype": "FP32", "data": list(values)}
    return json.dumps({"inputs": [tensor]}).encode()


def _prediction(body: bytes) -> float:
    return float(json.loads(body)["prediction"])


def _number(body: bytes) -> float:
    return float(json.loads(body))


def _v2_number(body: bytes) -> float:
    return float(json.loads(body)["outputs"][0]["data"][0])


_PREDICT = Call("/predict", _sequence)
_GENERATE = Call("/generate", _sequence_steps)

PEERS: tuple[Peer, ...] = (
    Peer(
        name="floor-asgi",
        requirements="python",
        distribution="uvicorn",
        command=("-m", "benchmarks.peers.floor_asgi", "{port}"),
        ready_path="/readyz",
        predict=_PREDICT,
        generate=_GENERATE,
        read_prediction=_prediction,
        is_floor=True,
    ),
    Peer(
        name="floor-fastapi",
        requirements="python",
        distribution="fastapi",
        command=("-m", "benchmarks.peers.floor_fastapi", "{port}"),
        ready_path="/readyz",
        predict=_PREDICT,
        generate=_GENERATE,
        read_prediction=_prediction,
        is_floor=True,
    ),
    Peer(
        name="fastapi-plain",
        requirements="python",
        distribution="fastapi",
        command=("-m", "benchmarks.peers.fastapi_plain", "{port}"),
        ready_path="/readyz",
        predict=_PREDICT,
        generate=_GENERATE,
        read_prediction=_prediction,
    ),
    Peer(
        name="fastapi-tuned",
        requirements="python",
        distribution="fastapi",
        command=("-m", "benchmarks.peers.fastapi_tuned", "{port}"),
        ready_path="/readyz",
        predict=_PREDICT,
        read_prediction=_prediction,
    ),
    Peer(
        name="litserve",
        requirements="python",
        distribution="litserve",
        command=("-m", "benchmarks.peers.litserve_server", "{port}"),
        ready_path="/health",
        predict=_PREDICT,
        read_prediction=_prediction,
    ),
    Peer(
        name="bentoml",
        requirements="python",
        distribution="bentoml",
        command=(
            *("-m", "bentoml", "serve", "benchmarks.peers.bentoml_server:Sine"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        environment={"BENTOML_DO_NOT_TRACK": "True"},
        ready_path="/readyz",
        predict=_PREDICT,
        read_prediction=_number,
    ),
    Peer(
        name="ray-serve",
        requirements="python",
        distribution="ray",
        command=("-m", "benchmarks.peers.ray_server", "{port}"),
        environment={
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        },
        workers=1,
        ready_path="/-/healthz",
        predict=_PREDICT,
        read_prediction=_prediction,
    ),
    Peer(
        name="mlserver",
        requirements="v2",
        distribution="mlserver",
        command=("-m", "benchmarks.peers.mlserver_server", "{port}"),
        ready_path="/v2/models/sine/ready",
        predict=Call("/v2/models/sine/infer", _v2),
        read_prediction=_v2_number,
    ),
    Peer(
        name="torchserve",
        requirements="v2",
        distribution="torchserve",
        command=("-m", "benchmarks.peers.torchserve_server", "{port}"),
        ready_path="/ping",
        predict=Call("/predictions/sine", _sequence),
        read_prediction=_prediction,
    ),
    Peer(
        name="triton",
        requirements="v2",
        distribution="nvidia-pytriton",
        command=("-m", "benchmarks.peers.triton_server", "{port}"),
        ready_path="/v2/health/ready",
        predict=Call("/v2/models/sine/infer", _v2),
        read_prediction=_v2_number,
        version_path="/v2",
    ),
)


def by_name(name: str) -> Peer:
    """Raises ValueError, with the names that there are, for one that is not."""
    for peer in PEERS:
        if peer.name == name:
            return peer
    raise ValueError(f"no peer is named {name!r}; there are: {', '.join(peer.name for peer in PEERS)}")


def sample(length: int = 50) -> list[float]:
    """The sequence that every benchmark sends: a sine of period 20, amplitude 1.5, rounded as a client would."""
    return [round(1.5 * sin(2 * pi * step / 20 + 0.3), 6) for step in range(length)]


@contextmanager
def serving(peer: Peer, python: Path, port: int, model: Path) -> Iterator[Served]:
    """Runs `peer` with the interpreter `python` on 127.0.0.1:`port`, serving the TorchScript file `model`.

    Yields once the peer has given the right answer and all of its workers are at rest. Leaving the context ends every
    process that it started, whatever happened.

    Raises PeerError, with the end of the peer's output, if it exits early, is not ready within `peer.start_s`, or
    answers something else than the module does.
    """
    expected = None if peer.is_floor else expected_prediction(model, sample())
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as folder:
        log = Path(folder, "log")
        token = secrets.token_hex(16)
        environment = {
            **os.environ,
            # The checkout is imported from anywhere, and the peer's droppings stay in its folder.
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
        command = [str(python), *(part.format(port=port) for part in peer.command)]
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
                    _check(peer, port, expected)
                    start_s = time.monotonic() - began
                    family.settle()
                    version = _version(peer, python, port)
                except (PeerError, OSError, http.client.HTTPException) as error:
                    raise PeerError(f"{peer.name}: {error}\n{_tail(log)}") from error
                yield Served(f"http://127.0.0.1:{port}", version, start_s, family.cpu_seconds)
            finally:
                family.stop(leader)


def expected_prediction(model: Path, values: Sequence[float]) -> float:
    """What the TorchScript module itself says comes after `values`, normalised as every peer must."""
    import torch

    with torch.inference_mode():
        x_T = torch.tensor(values, dtype=torch.float32)
        scale = float(x_T.abs().max())
        if scale == 0.0:
            return 0.0
        y_BT, _ = torch.jit.load(str(model), map_location="cpu").eval()((x_T / scale)[None])  # type: ignore[no-untyped-call]
        return scale * float(y_BT[0, -1])


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
        time.sleep(0.1)
    raise PeerError(f"not ready after {peer.start_s:.0f} s: {said}")


def _check(peer: Peer, port: int, expected: float | None) -> None:
    """Asks often enough that each worker has answered at least once, nearly surely."""
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
    program = f"from importlib.metadata import version; print(version({peer.distribution!r}))"
    finished = subprocess.run([str(python), "-c", program], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    version = f"{peer.distribution} {finished.stdout.strip()}"
    if peer.version_path is not None:
        _, body = _request(port, "GET", peer.version_path, None, {})
        version += f" (server {json.loads(body)['version']})"
    return version


def _tail(log: Path, lines: int = 25) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
    return "\n".join(text.splitlines()[-lines:])
