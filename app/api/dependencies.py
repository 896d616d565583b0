"""What endpoints are given: the models in service."""

from typing import Annotated

from fastapi import Depends, Request

from app.engine.repository import Repository, serving
from app.errors import NotReady


# A coroutine because FastAPI runs plain functions in its thread pool, which costs more than this does.
async def _current(request: Request) -> Repository:
    return serving(request.app.state)


CurrentModels = Annotated[Repository, Depends(_current)]


async def _not_draining(request: Request) -> None:
    if request.app.state.draining:
        raise NotReady("The service is stopping.")


NOT_DRAINING = Depends(_not_draining)
"""For those who ask whether to send requests here: refused from when the service is told to stop."""
