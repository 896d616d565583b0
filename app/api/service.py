"""GET /model, /models, /livez, /readyz and /metrics: questions of people and machines about the service itself."""

from fastapi import APIRouter, Response

from app.api.dependencies import NOT_DRAINING, CurrentRepository, CurrentService
from app.api.openapi import declared
from app.engine.repository import Repository
from app.errors import Exhausted, NotReady
from app.telemetry.metrics import MEDIA_TYPE
from sine_client.messages import Health, ModelInfo, ModelList

routes = APIRouter(tags=["service"])


@routes.get("/model", summary="Describe the default model.", responses=declared(NotReady))
async def model(repository: CurrentRepository) -> ModelInfo:
    """The answer holds the model's architecture, training data, errors and runtime. With several models, it is about
    the default."""
    return repository.default.info


@routes.get("/models", summary="List the served models.", responses=declared(NotReady))
async def all_models(repository: CurrentRepository) -> ModelList:
    """The answer describes each model as `/model` does, and names the default."""
    return model_list(repository)


@routes.get("/livez", summary="Check that the process is alive.")
async def livez() -> Health:
    """The answer is 200 as long as the process answers at all."""
    return Health(status="alive")


@routes.get(
    "/readyz",
    summary="Check that the service accepts requests.",
    dependencies=[NOT_DRAINING],
    responses=declared(NotReady(NotReady.DRAINING)),
)
async def readyz(repository: CurrentRepository) -> Health:
    """The answer is 200 when every model is loaded and has reproduced its golden rollouts, and 503 when the service is
    stopping."""
    return Health(status="ready")


@routes.get(
    "/metrics",
    summary="Read the metrics of the service.",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **declared(Exhausted)},
)
async def metrics(service: CurrentService) -> Response:
    """The answer holds counters, gauges and histograms of all workers, in the Prometheus text format."""
    return Response(service.metrics.expose(), media_type=MEDIA_TYPE)


def model_list(repository: Repository) -> ModelList:
    """The descriptions of all models."""
    return ModelList(default=repository.default.info.name, models=[served.info for served in repository])
