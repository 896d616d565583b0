"""What endpoints are given: the model that the lifespan loaded."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.errors import NotReady
from app.forecaster import Forecaster
from app.schemas import ModelInfo


@dataclass(frozen=True)
class Served:
    """A model in service."""

    info: ModelInfo
    forecaster: Forecaster


def served(request: Request) -> Served:
    """The model in service, or NotReady."""
    current: Served | None = getattr(request.app.state, "served", None)
    if current is None:
        raise NotReady("The service is starting or stopping.")
    return current


CurrentModel = Annotated[Served, Depends(served)]


def forecaster(current: CurrentModel) -> Forecaster:
    """The forecaster of the model in service."""
    return current.forecaster


CurrentForecaster = Annotated[Forecaster, Depends(forecaster)]
