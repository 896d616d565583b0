"""POST /admin/reload. What may change the service is here, and only where the settings want it."""

from fastapi import APIRouter

from app.api.dependencies import CurrentRepository, CurrentService
from app.api.service import model_list
from app.engine.reload import tell_others
from app.errors import NotReady, ReloadRefused
from app.problems import declared
from app.schemas import ModelList

routes = APIRouter(prefix="/admin", tags=["admin"], responses=declared(NotReady))


@routes.post("/reload", responses=declared(ReloadRefused))
async def reload_models(service: CurrentService, before: CurrentRepository) -> ModelList:
    """Serve the artifacts that are on disk now: what has changed is replaced, what is new added, what has gone
    removed.

    The worker that is asked does so first, and then tells the others. An artifact that cannot be served leaves its
    model as it was, and makes the answer a refusal that says why.
    """
    refused = await service.reload.run()
    after = service.serving.repository()
    if after is not before or not refused:
        tell_others()
    if refused:
        raise ReloadRefused(refused)
    return model_list(after)
