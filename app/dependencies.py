"""What endpoints are given: the model that the lifespan loaded."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import State

from app.errors import NotReady
from app.forecaster import Forecaster
from app.oip.statistics import InferenceCounters
from app.schemas import ModelInfo
from model.intervals import Intervals


@dataclass(frozen=True)
class Served:
    """A model in service."""

    info: ModelInfo
    forecaster: Forecaster
    intervals: Intervals | None
    """None where the model has none."""

    inference: InferenceCounters
    """What the Open Inference Protocol has been asked of it."""


def served(state: State) -> Served:
    """The model that the application with this state serves. Raises NotReady before and after it does."""
    current: Served | None = state["served"]
    if current is None:
        raise NotReady("The service is starting or stopping.")
    return current


# A coroutine because FastAPI runs plain functions in its thread pool, which costs more than this does.
async def _current(request: Request) -> Served:
    return served(request.app.state)


CurrentModel = Annotated[Served, Depends(_current)]


async def _stays(request: Request) -> None:
    if request.app.state.leaving:
        raise NotReady("The service is stopping.")


STAYS = Depends(_stays)
"""For those who ask whether to send requests here: refused from when the service is told to stop."""
