"""What endpoints are given: the models in service."""

from typing import Annotated

from fastapi import Depends, Request

from app.engine.repository import Models, serving
from app.errors import NotReady


# A coroutine because FastAPI runs plain functions in its thread pool, which costs more than this does.
async def _current(request: Request) -> Models:
    return serving(request.app.state)


CurrentModels = Annotated[Models, Depends(_current)]


async def _stays(request: Request) -> None:
    if request.app.state.leaving:
        raise NotReady("The service is stopping.")


STAYS = Depends(_stays)
"""For those who ask whether to send requests here: refused from when the service is told to stop."""
