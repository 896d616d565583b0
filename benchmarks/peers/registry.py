"""The registry of all rival servers: how each is started, requested and read.

It imports neither PyTorch nor any framework, so it can be read, listed and tested anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import pi, sin

from benchmarks.peers import dialects


@dataclass(frozen=True)
class Call:
    """One kind of request."""

    path: str
    body: Callable[..., bytes]
    """A function that makes the body: of the values for /predict; of the values and the number of steps for /generate.
    """
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Peer:
    """A server to measure, and everything that distinguishes it from the others."""

    name: str
    requirements: str | None
    """NAME of `requirements-NAME.txt` beside this module and of the environment made from it; None: the project's own.
    """
    distribution: str | None
    """Package whose version is reported; None for a program that no package holds."""
    command: tuple[str, ...]
    """Arguments for the environment's python. `{port}` stands for the port, on 127.0.0.1, and `{model}` for the file.
    """
    ready_path: str
    """A GET of this path answers 200 once the server is ready for requests."""
    predict: Call
    read_prediction: Callable[[bytes], float]
    environment: Mapping[str, str] = field(default_factory=dict)
    generate: Call | None = None
    version_path: str | None = None
    """A GET of this path answers JSON with the server's own `version`, if that is not the package's."""
    workers: int = 2
    """`BENCH_WORKERS`: the number of processes, or instances, that serve best on two cores."""
    is_floor: bool = False
    """A floor answers a constant. Its answer is not checked, and it is not a rival."""
    start_s: float = 90.0
    """The server must answer within this many seconds. This bound detects hangs; it is not a target."""


PREDICT = Call("/predict", dialects.sequence)
GENERATE = Call("/generate", dialects.sequence_steps)

LENGTH = 50
"""The number of values in each request."""


def v2_binary(model: str, tensor: str) -> Call:
    """Return the request to `model` by the V2 protocol with binary tensors; `tensor` is the name of its input."""
    head = dialects.v2_binary_head(tensor, LENGTH)
    return Call(
        f"/v2/models/{model}/infer",
        lambda values: head + dialects.floats(values),
        headers=dialects.v2_binary_headers(head),
    )


_TRITON = Peer(
    name="triton",
    requirements="v2",
    distribution="nvidia-pytriton",
    command=("-m", "benchmarks.peers.triton_server", "{port}"),
    ready_path="/v2/health/ready",
    predict=Call("/v2/models/sine/infer", dialects.v2),
    read_prediction=dialects.read_v2,
    version_path="/v2",
)

PEERS: tuple[Peer, ...] = (
    Peer(
        name="floor-nginx",
        requirements=None,
        distribution=None,
        command=("-m", "benchmarks.peers.floor_nginx", "{port}"),
        ready_path="/version",
        version_path="/version",
        predict=PREDICT,
        read_prediction=dialects.read_prediction,
        is_floor=True,
    ),
    Peer(
        name="floor-asgi",
        requirements=None,
        distribution="uvicorn",
        command=("-m", "benchmarks.peers.floor_asgi", "{port}"),
        ready_path="/readyz",
        predict=PREDICT,
        generate=GENERATE,
        read_prediction=dialects.read_prediction,
        is_floor=True,
    ),
    Peer(
        name="floor-fastapi",
        requirements=None,
        distribution="fastapi",
        command=("-m", "benchmarks.peers.floor_fastapi", "{port}"),
        ready_path="/readyz",
        predict=PREDICT,
        generate=GENERATE,
        read_prediction=dialects.read_prediction,
        is_floor=True,
    ),
    Peer(
        name="fastapi-plain",
        requirements="python",
        distribution="fastapi",
        command=("-m", "benchmarks.peers.fastapi_plain", "{port}"),
        ready_path="/readyz",
        predict=PREDICT,
        generate=GENERATE,
        read_prediction=dialects.read_prediction,
    ),
    Peer(
        name="fastapi-tuned",
        requirements="python",
        distribution="fastapi",
        command=("-m", "benchmarks.peers.fastapi_tuned", "{port}"),
        ready_path="/readyz",
        predict=PREDICT,
        read_prediction=dialects.read_prediction,
    ),
    Peer(
        name="litserve",
        requirements="python",
        distribution="litserve",
        command=("-m", "benchmarks.peers.litserve_server", "{port}"),
        ready_path="/health",
        predict=PREDICT,
        read_prediction=dialects.read_prediction,
    ),
    Peer(
        name="bentoml",
        requirements="python",
        distribution="bentoml",
        command=(
            *("-m", "bentoml", "serve", "benchmarks.peers.bentoml_server:Sine"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        environment={"BENTOML_DO_NOT_TRACK": "True", "BENCH_BATCHING": "1"},
        ready_path="/readyz",
        predict=Call("/predict", dialects.batch_of_one),
        read_prediction=dialects.read_first_number,
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
        ready_path="/-/healthz",
        predict=PREDICT,
        read_prediction=dialects.read_prediction,
    ),
    Peer(
        name="ray-serve-default",
        requirements="python",
        distribution="ray",
        command=("-m", "benchmarks.peers.ray_server", "{port}"),
        environment={"RAY_USAGE_STATS_ENABLED": "0"},
        workers=1,
        ready_path="/-/healthz",
        predict=PREDICT,
        read_prediction=dialects.read_prediction,
    ),
    Peer(
        name="mlserver",
        requirements="v2",
        distribution="mlserver",
        command=("-m", "benchmarks.peers.mlserver_server", "{port}"),
        ready_path="/v2/models/sine/ready",
        predict=Call("/v2/models/sine/infer", dialects.v2),
        read_prediction=dialects.read_v2,
    ),
    Peer(
        name="torchserve",
        requirements="v2",
        distribution="torchserve",
        command=("-m", "benchmarks.peers.torchserve_server", "{port}"),
        ready_path="/ping",
        predict=Call("/predictions/sine", dialects.sequence),
        read_prediction=dialects.read_prediction,
    ),
    _TRITON,
    replace(_TRITON, name="triton-binary", predict=v2_binary("sine", "x"), read_prediction=dialects.read_v2_binary),
)


def _variant(name: str, what: str, workers: int | None = None, **environment: str) -> Peer:
    peer = by_name(name)
    return replace(
        peer,
        name=f"{name}:{what}",
        workers=peer.workers if workers is None else workers,
        environment={**peer.environment, **environment},
    )


def by_name(name: str) -> Peer:
    """Return the peer or variant with this name. Raise ValueError, which lists the names, if there is none."""
    for peer in (*PEERS, *VARIANTS):
        if peer.name == name:
            return peer
    raise ValueError(f"no peer is named {name!r}; there are: {', '.join(peer.name for peer in (*PEERS, *VARIANTS))}")


VARIANTS: tuple[Peer, ...] = ()
"""The other tunings that were tried. `python -m benchmarks.peers --tune` compares them with the ones in PEERS."""
VARIANTS = (
    _variant("litserve", "1 worker", workers=1),
    replace(
        _variant("bentoml", "no batching", BENCH_BATCHING="0"), predict=PREDICT, read_prediction=dialects.read_number
    ),
    _variant("ray-serve", "1 replica", workers=1),
    _variant("ray-serve-default", "2 replicas", workers=2),
    _variant("mlserver", "in process", workers=0),
    _variant("mlserver", "1 worker", workers=1),
    _variant("torchserve", "1 worker", workers=1),
    _variant("triton", "1 instance", workers=1),
    _variant("triton", "3 instances", workers=3),
)


def sample(length: int = LENGTH) -> list[float]:
    """Return the sequence that every benchmark sends: a sine of period 20, amplitude 1.5, rounded as a client would."""
    return [round(1.5 * sin(2 * pi * step / 20 + 0.3), 6) for step in range(length)]
