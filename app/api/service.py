"""GET /model, /models, /livez, /readyz and /metrics: what people and machines ask about the service itself."""

from fastapi import APIRouter, Response

from app.api.dependencies import NOT_DRAINING, CurrentRepository, CurrentService
from app.engine.repository import Repository
from app.errors import Exhausted, NotReady
from app.problems import declared
from app.schemas import Health, ModelInfo, ModelList
from app.telemetry.metrics import MEDIA_TYPE

routes = APIRouter(tags=["service"])


@routes.get("/model", responses=declared(NotReady))
async def model(repository: CurrentRepository) -> ModelInfo:
    """The model in service, of several the default: what it is, what it was trained on, how good it is, and what
    executes it."""
    return repository.default.info


@routes.get("/models", responses=declared(NotReady))
async def all_models(repository: CurrentRepository) -> ModelList:
    """All models in service."""
    return model_list(repository)


@routes.get("/livez")
async def livez() -> Health:
    """200 as long as the process answers."""
    return Health(status="alive")


@routes.get("/readyz", dependencies=[NOT_DRAINING], responses=declared(NotReady))
async def readyz(repository: CurrentRepository) -> Health:
    """200 when every model is loaded, has reproduced its golden rollouts, and the service is not stopping."""
    return Health(status="ready")


@routes.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **declared(Exhausted)}
)
async def metrics(service: CurrentService) -> Response:
    """Counters and histograms in the Prometheus text format."""
    return Response(service.metrics.expose(), media_type=MEDIA_TYPE)


def model_list(repository: Repository) -> ModelList:
    """What clients are told of all models."""
    return ModelList(default=repository.default.info.name, models=[served.info for served in repository])
