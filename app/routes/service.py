"""GET /model, /livez, /readyz and /metrics: what people and machines ask about the service itself."""

from fastapi import APIRouter, Request, Response

from app.dependencies import STAYS, CurrentModel
from app.errors import NotReady, declared
from app.schemas import Health, ModelInfo
from app.telemetry.metrics import MEDIA_TYPE

routes = APIRouter(tags=["service"])


@routes.get("/model", responses=declared(NotReady))
async def model(current: CurrentModel) -> ModelInfo:
    """The model in service: what it is, what it was trained on, how good it is, and what executes it."""
    return current.info


@routes.get("/livez")
async def livez() -> Health:
    """200 as long as the process answers."""
    return Health(status="alive")


@routes.get("/readyz", dependencies=[STAYS], responses=declared(NotReady))
async def readyz(current: CurrentModel) -> Health:
    """200 when the model is loaded, has reproduced its golden rollouts, and the service is not stopping."""
    return Health(status="ready")


@routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Counters and histograms in the Prometheus text format."""
    return Response(request.app.state.metrics.expose(), media_type=MEDIA_TYPE)
