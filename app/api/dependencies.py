"""The parts of the service that endpoints need, and how FastAPI's endpoints get them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection

from app.api.endpoints import Endpoint
from app.engine.reload import Serving
from app.engine.repository import Repository
from app.errors import NotReady
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.telemetry.middleware import Recorder
from sine_client.messages import GenerateRequest, PredictRequest


@dataclass(frozen=True)
class Service:
    """The parts that all of an application shares. An application has one, as `app.state.service`."""

    settings: Settings
    predict: Endpoint[PredictRequest]
    generate: Endpoint[GenerateRequest]
    metrics: Metrics
    recorder: Recorder
    serving: Serving


def service_of(app: FastAPI) -> Service:
    """Return the service of an application."""
    service: Service = app.state.service
    return service


# Coroutines, because FastAPI runs plain functions in its thread pool, which costs more than these do.
async def _service(connection: HTTPConnection) -> Service:
    return service_of(connection.app)


CurrentService = Annotated[Service, Depends(_service)]


async def _repository(service: CurrentService) -> Repository:
    return service.serving.repository()


CurrentRepository = Annotated[Repository, Depends(_repository)]


async def _not_draining(service: CurrentService) -> None:
    if service.serving.draining:
        raise NotReady(NotReady.DRAINING)


NOT_DRAINING = Depends(_not_draining)
"""Refuse the request once the service was told to stop: for endpoints that say whether to send requests here."""
