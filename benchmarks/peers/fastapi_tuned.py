"""Tuned FastAPI: requests are batched in the process, and one thread computes the batches.

A team takes this step after plain FastAPI. A coroutine takes all waiting requests, up to 32. It does not wait for more,
because on a CPU waiting only adds latency. It hands them to one thread, so the event loop goes on reading requests
while the network computes. Each core has one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request

from benchmarks.peers.asgi import serve
from benchmarks.peers.forecaster import Forecaster
from benchmarks.peers.schemas import PredictRequest, PredictResponse

MAX_BATCH = 32


class Batcher:
    """An asyncio queue in front of one thread."""

    def __init__(self, forecaster: Forecaster) -> None:
        self._forecaster = forecaster
        self._queue: asyncio.Queue[tuple[Sequence[float], asyncio.Future[float]]] = asyncio.Queue(maxsize=1024)

    async def predict(self, sequence: Sequence[float]) -> float:
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        await self._queue.put((sequence, future))
        return await future

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=1) as thread:
            while True:
                batch = [await self._queue.get()]
                while len(batch) < MAX_BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                answers = await loop.run_in_executor(
                    thread, self._forecaster.predict_many, [sequence for sequence, _ in batch]
                )
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.batcher = Batcher(Forecaster())
    task = asyncio.create_task(app.state.batcher.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def create_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    async def predict(body: PredictRequest, request: Request) -> PredictResponse:
        batcher: Batcher = request.app.state.batcher
        return PredictResponse(prediction=await batcher.predict(body.sequence))

    return app


if __name__ == "__main__":
    serve("benchmarks.peers.fastapi_tuned:create_app")
