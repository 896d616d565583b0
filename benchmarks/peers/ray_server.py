"""Ray Serve with its defaults, or in its high-throughput mode, as Ray 2.56 and later document it.

In that mode HAProxy, in C, is the ingress (`RAY_SERVE_ENABLE_HA_PROXY`) and `RAY_SERVE_THROUGHPUT_OPTIMIZED` is on. The
registry sets both. HAProxy makes Ray listen on all interfaces, whichever host is set. Both modes batch the waiting
requests dynamically and write no access log.
"""

# mypy: ignore-missing-imports, allow-subclassing-any, allow-untyped-decorators, allow-untyped-calls
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading

import ray
from ray import serve
from starlette.requests import Request

from benchmarks.peers.forecaster import Forecaster


@serve.deployment(
    num_replicas=int(os.environ["BENCH_WORKERS"]), max_ongoing_requests=128, ray_actor_options={"num_cpus": 1}
)
class Sine:
    def __init__(self) -> None:
        self.forecaster = Forecaster()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.0)
    async def predict_batch(self, sequences: list[list[float]]) -> list[float]:
        return self.forecaster.predict_many(sequences)

    async def __call__(self, request: Request) -> dict[str, float]:
        body = await request.json()
        return {"prediction": await self.predict_batch(body["sequence"])}


def main() -> None:
    ray.init(
        num_cpus=int(os.environ["BENCH_WORKERS"]),
        include_dashboard=False,
        _temp_dir=tempfile.gettempdir(),
        log_to_driver=False,
        configure_logging=True,
        logging_level="warning",
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[1])},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    serve.run(Sine.bind(), route_prefix="/predict")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
