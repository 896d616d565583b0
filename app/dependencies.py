"""What endpoints are given: the models in service."""

from typing import Annotated

from fastapi import Depends, Request

from app.models import Models, serving


# A coroutine because FastAPI runs plain functions in its thread pool, which costs more than this does.
async def _current(request: Request) -> Models:
    return serving(request.app.state)


CurrentModels = Annotated[Models, Depends(_current)]
