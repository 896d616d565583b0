"""LitServe, tuned as its documentation says for a CPU and many small requests.

- `fast_queue=True` uses ZeroMQ instead of multiprocessing queues, as advised above 100 requests a second.
- Batching is on, with a `batch_timeout` of 1 ms. At 0 the idle workers poll without pause and occupy both cores.
- There are `BENCH_WORKERS` inference workers and as many HTTP servers, the default rule of `num_api_servers`.
"""

# mypy: ignore-missing-imports, allow-subclassing-any, allow-untyped-calls

import os
import sys

import litserve
import numpy as np
import numpy.typing as npt
from fastapi import Request

from benchmarks.peers.forecaster import Forecaster


class Sine(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.forecaster = Forecaster()

    def decode_request(self, request: Request) -> npt.NDArray[np.float32]:
        return np.asarray(request["sequence"], dtype=np.float32)

    def batch(self, inputs: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        return np.stack(inputs)

    def predict(self, x_BT: npt.NDArray[np.float32]) -> list[float]:
        answers: list[float] = self.forecaster.predict_batch(x_BT).tolist()
        return answers

    def unbatch(self, output: list[float]) -> list[float]:
        return output

    def encode_response(self, output: float) -> dict[str, float]:
        return {"prediction": output}


if __name__ == "__main__":
    workers = int(os.environ["BENCH_WORKERS"])
    server = litserve.LitServer(
        Sine(
            max_batch_size=32,
            batch_timeout=0.001,
            api_path="/predict",
        ),
        accelerator="cpu",
        workers_per_device=workers,
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=workers,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
