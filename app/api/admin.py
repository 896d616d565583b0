"""POST /admin/reload: the endpoints that change the service. They exist only where the settings have admin keys."""

from fastapi import APIRouter

from app.api.dependencies import CurrentRepository, CurrentService
from app.api.openapi import declared
from app.api.service import model_list
from app.engine.reload import tell_others
from app.errors import NotReady, Overloaded, ReloadRefused
from sine_client.messages import ModelList

routes = APIRouter(prefix="/admin", tags=["admin"], responses=declared(NotReady, Overloaded))


@routes.post("/reload", summary="Reload the artifacts on disk.", responses=declared(ReloadRefused))
async def reload_models(service: CurrentService, before: CurrentRepository) -> ModelList:
    """The service replaces the models whose artifacts have changed, adds new ones, and removes those whose
    artifacts are gone.

    The worker that gets the request reloads first, and then tells the other workers. If an artifact cannot be
    served, its model stays as it was, and the answer is a refusal with the reason.
    """
    refused = await service.serving.reload()
    after = service.serving.repository()
    if after is not before or not refused:
        tell_others()
    if refused:
        raise ReloadRefused(refused)
    return model_list(after)
