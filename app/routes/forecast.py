"""POST /predict and POST /generate, as FastAPI sees them. What they do is in `app/endpoints.py`."""

from fastapi import APIRouter, Request, Response

from app.body import disconnected, documented_body, read_body
from app.dependencies import CurrentModel, Served
from app.endpoints import Endpoint
from app.errors import BodyTooLarge, DeadlineExceeded, InvalidRequest, Overloaded, declared
from app.schemas import GenerateRequest, GenerateResponse, PredictRequest, PredictResponse


def router(predict_endpoint: Endpoint[PredictRequest], generate_endpoint: Endpoint[GenerateRequest]) -> APIRouter:
    """Both endpoints."""
    refusals = declared(InvalidRequest, BodyTooLarge, Overloaded, DeadlineExceeded)
    routes = APIRouter(tags=["forecast"], responses=refusals)

    @routes.post("/predict", response_model=PredictResponse, openapi_extra=documented_body(predict_endpoint.model))
    async def predict(request: Request, model: CurrentModel) -> Response:
        """The value that follows a sequence."""
        return await _respond(predict_endpoint, request, model)

    @routes.post("/generate", response_model=GenerateResponse, openapi_extra=documented_body(generate_endpoint.model))
    async def generate(request: Request, model: CurrentModel) -> Response:
        """The values that follow a sequence: each prediction becomes the next input."""
        return await _respond(generate_endpoint, request, model)

    return routes


async def _respond(
    endpoint: Endpoint[PredictRequest] | Endpoint[GenerateRequest], request: Request, model: Served
) -> Response:
    body = await read_body(request.receive)
    content_type = request.headers.get("content-type", "")
    content = await endpoint.respond(content_type, body, model, lambda: disconnected(request.receive))
    return Response(content, media_type="application/json")
