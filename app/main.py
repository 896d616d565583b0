"""The service: `create_service(settings)` is what uvicorn runs, FastAPI's application with what stands in front of it.

`create_app(settings)` is the application alone: an ordinary one, with every endpoint; its lifespan loads the model.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import torch
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import iter_route_contexts
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from app import errors
from app.admission import Limits
from app.dependencies import Served
from app.door import Door
from app.endpoints import endpoints
from app.forecaster import Forecaster
from app.hotpath import HotPath
from app.limits import BodyLimitMiddleware
from app.oip.inference import Inference, InferFront
from app.routes import forecast, live, oip, page, service
from app.schemas import ModelInfo
from app.settings import Settings
from app.telemetry.logs import access_log
from app.telemetry.metrics import Metrics
from app.telemetry.middleware import ObservingMiddleware
from app.telemetry.tracing import TracedForecaster, TracedHotPath, start_tracing, telemetry
from model.artifact import read_artifact
from model.runtime import open_runtime

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Nothing is loaded before its lifespan starts."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Door]]:
        provider = start_tracing() if settings.tracing else None
        metrics.started.add()
        metrics.alive.set(1)
        app.state.served = load(settings, metrics)
        metrics.ready.set(1)
        # Half a million objects, most of them torch's, that will never be garbage: a full collection would look at each
        # of them, for tens of milliseconds in the middle of somebody's request.
        gc.collect()
        gc.freeze()
        yield {"door": Door(asyncio.get_running_loop(), 2 * settings.max_pending_s, metrics.turned_away)}
        metrics.ready.set(0)
        current, app.state.served = app.state.served, None
        current.forecaster.close()
        if provider is not None:
            await run_in_threadpool(provider.shutdown)  # sends what is left

    # Its own copies of the documentation pages' scripts: they work without an internet connection.
    app = FastAPIOffline(
        title="Sine RNN server",
        summary="The next value of a sequence, and its continuation, from a recurrent network.",
        version="1",
        redoc_url=None,
        redirect_slashes=False,  # a path is right or 404; a redirect would lose the body of many clients' requests
        lifespan=lifespan,
        telemetry=telemetry(settings.tracing),
    )
    predict, generate = endpoints(settings)
    app.include_router(forecast.router(predict, generate))
    app.include_router(live.router(predict, settings))
    app.include_router(service.routes)
    app.include_router(oip.router(Inference(settings)))
    app.include_router(page.routes)
    errors.install(app)
    app.state.served = None
    metrics = app.state.metrics = Metrics(
        routes=(context.path for context in iter_route_contexts(app.routes) if context.path)
    )
    return app


def create_service(settings: Settings | None = None) -> ASGIApp:
    """The application behind the hot path, the body limit and the metrics, from the inside out.

    They are around it, and not its own middleware, because a request for the hot path would then pay for the outer
    layers of FastAPI as well.
    """
    settings = settings or Settings()
    app = create_app(settings)
    stack: ASGIApp = app
    if settings.hot_path and settings.tracing:
        app.add_middleware(
            TracedHotPath,
            state=app.state,
            endpoints=endpoints(settings),
            max_body_bytes=settings.max_body_bytes,
        )
    elif settings.hot_path:
        stack = InferFront(stack, app.state, Inference(settings))
    stack = BodyLimitMiddleware(stack, settings.max_body_bytes, settings.max_batch_bytes)
    if settings.hot_path and not settings.tracing:
        stack = HotPath(stack, app.state, endpoints(settings), settings.max_body_bytes)
    return ObservingMiddleware(stack, app.state.metrics, access_log(settings))


def load(settings: Settings, metrics: Metrics) -> Served:
    """Verify, load and warm up the model.

    Raises:
        ArtifactError: the artifact cannot be trusted or does not do what it says.
        DeviceUnavailable: the device that was asked for is not there.
    """
    # A step of a small network is far shorter than handing it to another thread, and the threads of all workers would
    # fight for the same cores.
    torch.set_num_threads(1)
    artifact = read_artifact(settings.model)
    opened = open_runtime(artifact, settings.device, settings.engine)
    runtime = opened.runtime
    log.info(
        "Serving %s %s (%s) with the %s runtime on %s: %s",
        artifact.metadata.name,
        artifact.metadata.version,
        artifact.digest[:12],
        runtime.name,
        runtime.device,
        opened.reason,
    )
    described = artifact.metadata.model_dump()
    info = ModelInfo(
        **described,
        digest=artifact.digest,
        runtime=runtime.name,
        runtime_reason=opened.reason,
        device=runtime.device,
    )
    limits = Limits(max_pending_s=settings.max_pending_s, timeout_s=settings.timeout_s)
    metrics.model.labels = {name: getattr(info, name) for name in ("name", "version", "digest", "runtime", "device")}
    forecaster = (TracedForecaster if settings.tracing else Forecaster)(runtime, limits, metrics)
    return Served(info, forecaster, artifact.intervals, metrics.inference)
