"""Plain FastAPI: the service that most people would write first, deployed as FastAPI's documentation says.

Endpoints are plain functions, because the model call blocks: FastAPI runs them in its thread pool. Each core has one
process (FastAPI's page "Server Workers"), and each process has one intra-op thread. /generate keeps no state between
steps: it encodes its sliding window again for each value.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from benchmarks.peers.asgi import serve
from benchmarks.peers.forecaster import Forecaster
from benchmarks.peers.schemas import GenerateRequest, GenerateResponse, PredictRequest, PredictResponse


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.forecaster = Forecaster()
    yield


def create_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    def predict(body: PredictRequest, request: Request) -> PredictResponse:
        forecaster: Forecaster = request.app.state.forecaster
        return PredictResponse(prediction=forecaster.predict(body.sequence))

    @app.post("/generate")
    def generate(body: GenerateRequest, request: Request) -> GenerateResponse:
        forecaster: Forecaster = request.app.state.forecaster
        return GenerateResponse(values=forecaster.generate(body.sequence, body.steps))

    return app


if __name__ == "__main__":
    serve("benchmarks.peers.fastapi_plain:create_app")
