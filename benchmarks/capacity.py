"""A capacity model: what a load takes in cores, memory and network, from costs that are measured here.

A cost is processor time, so it hardly depends on what else the machine does. One worker answers /predict of 50 values
and /generate of 24 steps, directly and behind each proxy that is installed. Each model forecasts a Parquet file of
series, with two levels of intervals. Everything else is multiplication, with a share of each core left
free (`BUSY`). `python -m benchmarks.capacity --rate 5000` adds a row for your own load.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from app.bulk import options as bulk_options
from app.bulk.part import Task, forecast_part
from app.bulk.places import places
from benchmarks import memory, wrk
from benchmarks.bulk import LEVELS, Options, write
from benchmarks.load import drive
from benchmarks.own import own
from benchmarks.peers.environments import environment
from benchmarks.peers.registry import Call, Peer, sample
from benchmarks.peers.serving import serving
from benchmarks.proxies import installed, proxying
from benchmarks.report import Table, number, save
from model import DEFAULT_ARTIFACT
from model.artifact import read_artifact

BUSY = 0.7
"""The part of a core that is planned for. The autoscalers in deploy/kubernetes have the same target."""

NIGHT_S = 8 * 3600
STEPS, SERIES_LENGTH = 24, 64
CONNECTIONS = 32


@dataclass(frozen=True)
class RequestCost:
    """The cost of one request."""

    name: str
    worker_us: float
    """Processor time of the worker in microseconds."""

    proxy_us: dict[str, float]
    """The processor time of each proxy."""

    bytes_in: int
    bytes_out: int
    """Bytes of the request and of its answer, headers included."""


@dataclass(frozen=True)
class Plan:
    """The resources that a rate of requests takes."""

    cores: float
    proxy_cores: dict[str, float]
    pods: int
    memory_gb: float
    network_gbit_s: float


def plan(cost: RequestCost, rate: float, worker_mb: float) -> Plan:
    """Return what `rate` requests a second take, with pods of one worker of `worker_mb` MB each."""
    cores = rate * cost.worker_us / 1e6 / BUSY
    pods = max(2, int(np.ceil(cores)))
    proxies = {name: rate * proxy_us / 1e6 / BUSY for name, proxy_us in cost.proxy_us.items()}
    return Plan(cores, proxies, pods, pods * worker_mb / 1e3, rate * 8 * (cost.bytes_in + cost.bytes_out) / 1e9)


def night(series: float, series_us: float) -> float:
    """Return the cores that forecast so many series in a night, at `series_us` microseconds each."""
    return series * series_us / 1e6 / NIGHT_S / BUSY


def request_cost(name: str, call: Call, body: bytes, peer: Peer, seconds: int) -> tuple[RequestCost, float]:
    """Measure one kind of request. Return its cost, and the memory of the worker in MB."""
    with serving(peer, environment(peer), DEFAULT_ARTIFACT) as served, tempfile.TemporaryDirectory() as folder:
        worker_us = drive(served, call, body, CONNECTIONS, seconds).cpu_us
        port, proxies = urlsplit(served.url).port or 0, {}
        for proxy in installed():
            with proxying(proxy, port, Path(folder)) as running:
                asked = wrk.run(running.url + call.path, body, call.headers, CONNECTIONS, seconds)
                if asked.errors or asked.non_2xx:
                    raise wrk.WrkError(f"{proxy}: {asked.errors + asked.non_2xx} requests failed")
            proxies[proxy] = 1e6 * running.cpu_s / asked.requests
        bytes_out = round(asked.bytes_per_second / asked.requests_per_second) if proxies else 0
        head = f"POST {call.path} HTTP/1.1\r\nHost: 127.0.0.1:65535\r\nContent-Length: {len(body)}\r\n\r\n"
        bytes_in = len(head) + sum(len(f"{key}: {value}\r\n") for key, value in call.headers.items()) + len(body)
        resident = sum(each.proportional_mb for each in memory.of(served.family))
    return RequestCost(name, worker_us, proxies, bytes_in, bytes_out), resident


def series_us(artifact: Path, series: int = 20_000) -> float:
    """Return the microseconds of processor time of one series of a Parquet file: read, forecast and written."""
    digest = read_artifact(artifact).digest
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        write(source, Options(series=2 * series, parts=2, length=SERIES_LENGTH))
        for part in places(source, out).parts:  # the first one compiles
            began = time.process_time()
            forecast_part(Task(part, artifact, digest, bulk_options.Options(horizon=STEPS, level=LEVELS)))
            seconds = time.process_time() - began
    return 1e6 * seconds / series


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement; default: 5")
    parser.add_argument("--rate", type=float, action="append", default=[], help="further requests a second")
    chosen = parser.parse_args(arguments)
    peer = own(workers=1)
    assert peer.generate is not None  # noqa: S101 - for mypy
    bodies = {"/predict": peer.predict.body(sample()), f"/generate {STEPS}": peer.generate.body(sample(), STEPS)}
    costs, resident_mb = [], 0.0
    for name, body in bodies.items():
        call = peer.predict if name == "/predict" else peer.generate
        cost, mb = request_cost(name, call, body, peer, chosen.seconds)
        costs.append(cost)
        resident_mb = max(resident_mb, mb)
    bulk = {artifact.stem: series_us(artifact) for artifact in sorted(DEFAULT_ARTIFACT.parent.glob("*.pt"))}
    save("capacity", tables(costs, resident_mb, bulk, chosen.rate), {"costs": [asdict(cost) for cost in costs]})


def tables(
    costs: Sequence[RequestCost], worker_mb: float, bulk: dict[str, float], rates: Sequence[float] = ()
) -> dict[str, Table]:
    """Return the costs, and what some loads take."""
    proxies = list(costs[0].proxy_us)
    columns = ["one request", "worker, µs", *(f"{proxy}, µs" for proxy in proxies), "bytes in", "bytes out"]
    requests = [
        [cost.name, *map(number, (cost.worker_us, *cost.proxy_us.values())), str(cost.bytes_in), str(cost.bytes_out)]
        for cost in costs
    ]
    online = []
    for cost in costs:
        for rate in (*rates, 1e3, 1e5, 1e6):
            needs = plan(cost, rate, worker_mb)
            online.append(
                [
                    f"{cost.name}, {rate:,.0f}/s",
                    number(needs.cores),
                    *map(number, needs.proxy_cores.values()),
                    str(needs.pods),
                    number(needs.memory_gb),
                    number(needs.network_gbit_s),
                ]
            )
    needs_columns = ["load", "cores", *(f"cores of {proxy}" for proxy in proxies), "pods", "memory, GB", "Gbit/s"]
    series = [
        [name, number(us), number(1e6 / us), *(number(night(n, us)) for n in (1e6, 1e9))] for name, us in bulk.items()
    ]
    series_columns = ["model", "µs a series", "series/s a core", "cores for 10⁶ a night", "cores for 10⁹ a night"]
    return {
        "requests": Table(columns, requests),
        "online": Table(needs_columns, online),
        "bulk": Table(series_columns, series),
    }


if __name__ == "__main__":
    main()
