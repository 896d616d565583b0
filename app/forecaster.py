"""What a request costs and where it runs: everything between a validated request and its answer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from app.errors import Diverged
from app.schemas import GenerateRequest, GenerateResponse, PredictRequest, PredictResponse
from model.runtime import Runtime

T = TypeVar("T")

CHUNK_STEPS = 256
"""Steps of a rollout that run at a time, so that a long rollout lets others in between: about 1 ms of work."""


class Forecaster:
    """Answers requests with one runtime.

    The model runs on one thread of its own, never on the event loop. Its queue is first in, first out, and a rollout
    goes to the end of it after each chunk: a short request waits for at most one chunk of each rollout in progress.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    async def predict(self, request: PredictRequest) -> PredictResponse:
        """The next value.

        Raises:
            Diverged: it is not finite.
        """
        values, diverged = await self._forecast(request.sequence, 1)
        if diverged:
            raise Diverged("The model has no finite prediction for this sequence.")
        return PredictResponse(prediction=values[0])

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """The next `steps` values, or those before the first that is not finite."""
        values, diverged = await self._forecast(request.sequence, request.steps)
        return GenerateResponse(values=values, finish_reason="diverged" if diverged else "length")

    async def _forecast(self, sequence: list[float], steps: int) -> tuple[list[float], bool]:
        """The values, and whether they stopped being finite."""
        (state,) = await self._run(lambda: self.runtime.encode([sequence]))
        values: list[float] = []
        while len(values) < steps:
            chunk = min(CHUNK_STEPS, steps - len(values))
            (chunk_S,), (state,) = await self._run(lambda: self.runtime.rollout([state], chunk))  # noqa: B023 - awaited
            finite_S = np.isfinite(chunk_S)
            if not finite_S.all():
                values += chunk_S[: int(finite_S.argmin())].tolist()
                return values, True
            values += chunk_S.tolist()
        return values, False

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Wait for the model's thread to finish what it has begun."""
        self._thread.shutdown(cancel_futures=True)
