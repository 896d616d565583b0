"""Floor: FastAPI that validates as the service does and then answers a constant.

Endpoints are coroutines, which FastAPI calls on the event loop. A thread would only add to the cost of doing nothing.
"""

from __future__ import annotations

from fastapi import FastAPI, Response

from benchmarks.peers.asgi import serve
from benchmarks.peers.floor_asgi import generated
from benchmarks.peers.schemas import GenerateRequest, PredictRequest, PredictResponse


def create_app() -> FastAPI:
    app = FastAPI()

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    async def predict(request: PredictRequest) -> PredictResponse:
        return PredictResponse(prediction=0.5430264472961426)

    @app.post("/generate")
    async def generate(request: GenerateRequest) -> Response:
        return Response(generated(request.steps), media_type="application/json")

    return app


if __name__ == "__main__":
    serve("benchmarks.peers.floor_fastapi:create_app")
