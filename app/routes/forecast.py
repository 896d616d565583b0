"""POST /predict and POST /generate."""

from typing import Annotated

from fastapi import APIRouter, Depends

from app.dependencies import CurrentForecaster
from app.errors import BodyTooLarge, InvalidRequest, NotReady, declared
from app.parse import documented_body, json_body
from app.schemas import GenerateRequest, GenerateResponse, PredictRequest, PredictResponse, limited
from app.settings import Settings


def router(settings: Settings) -> APIRouter:
    """The two endpoints, with the limits of `settings`."""
    predict_model, generate_model = limited(settings.max_sequence, settings.max_steps)
    routes = APIRouter(tags=["forecast"], responses=declared(InvalidRequest, BodyTooLarge, NotReady))

    @routes.post("/predict", openapi_extra=documented_body(predict_model))
    async def predict(
        request: Annotated[PredictRequest, Depends(json_body(predict_model))], forecaster: CurrentForecaster
    ) -> PredictResponse:
        """The value that follows a sequence."""
        return await forecaster.predict(request)

    @routes.post("/generate", openapi_extra=documented_body(generate_model))
    async def generate(
        request: Annotated[GenerateRequest, Depends(json_body(generate_model))], forecaster: CurrentForecaster
    ) -> GenerateResponse:
        """The values that follow a sequence: each prediction becomes the next input."""
        return await forecaster.generate(request)

    return routes
