"""The service: `create_service(settings)` is what uvicorn runs, FastAPI's application with what stands in front of it.

`create_app(settings)` is the application alone: an ordinary one, with every endpoint; its lifespan loads the model.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import iter_route_contexts
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from app import problems
from app.api import admin, forecast, live, page, service
from app.api.body_limit import BodyLimitMiddleware
from app.api.endpoints import endpoints
from app.api.guard import cross_origin, document_keys, guarded
from app.api.hotpath import HotPath
from app.engine.loading import load
from app.engine.reload import Reload, serve
from app.errors import BodyTooLarge, HeadTooLarge, RequestTimeout
from app.open_inference import routes as oip
from app.open_inference.inference import Inference, InferFront
from app.server.balancing import ConnectionBalancer
from app.server.inline import InlineResponder
from app.server.shedding import LoadShedder
from app.server.shutdown import shutdown
from app.settings import Settings
from app.telemetry.logs import access_log
from app.telemetry.metrics import Metrics
from app.telemetry.middleware import ObservingMiddleware
from app.telemetry.tracing import TracedHotPath, start_tracing, telemetry


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Nothing is loaded before its lifespan starts."""
    settings = settings or Settings()

    def drain() -> None:
        app.state.draining = True
        metrics.ready.set(0)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        provider = start_tracing() if settings.tracing else None
        metrics.started.add()
        metrics.alive.set(1)
        serve(app.state, load(settings, metrics))
        metrics.ready.set(1)
        # Half a million objects, most of them torch's, that will never be garbage: a full collection would look at each
        # of them, for tens of milliseconds in the middle of somebody's request.
        gc.collect()
        gc.freeze()
        gc.collect()  # Python waits for garbage by a quarter of what the last full collection has left
        shedder = LoadShedder(asyncio.get_running_loop(), 2 * settings.max_pending_s, metrics.turned_away)
        balancer = ConnectionBalancer(metrics.connections.set, partial(metrics.other_workers, metrics.connections))
        with reload.on_hangup(), shutdown(drain, settings.drain_delay_s):
            yield {"shedder": shedder, "balancer": balancer, "direct": app.state.direct}
        drain()
        models, app.state.models = app.state.models, None
        for served in models:
            served.forecaster.close()
        if provider is not None:
            await run_in_threadpool(provider.shutdown)  # sends what is left

    # Its own copies of the documentation pages' scripts: they work without an internet connection.
    app = FastAPIOffline(
        title="Sine RNN server",
        summary="The next value of a sequence, and its continuation, from a recurrent network.",
        version="1",
        redoc_url=None,
        # What is answered in front of the routes, whichever it is that was asked for
        responses=problems.declared(RequestTimeout, BodyTooLarge, HeadTooLarge),
        redirect_slashes=False,  # a path is right or 404; a redirect would lose the body of many clients' requests
        lifespan=lifespan,
        telemetry=telemetry(settings.tracing),
    )
    app.state.models = None
    reload = Reload(app.state, settings)
    predict, generate = endpoints(settings)
    app.include_router(forecast.router(predict, generate))
    app.include_router(live.router(predict, settings))
    app.include_router(service.routes)
    if settings.admin_keys is not None:
        app.include_router(admin.router(reload))
    app.include_router(oip.router(Inference(settings)))
    app.include_router(page.routes)
    problems.install(app)
    document_keys(app, settings)
    app.state.draining = False
    app.state.direct = None
    metrics = app.state.metrics = Metrics(
        routes=(context.path for context in iter_route_contexts(app.routes) if context.path)
    )
    return app


def create_service(settings: Settings | None = None) -> ASGIApp:
    """The application behind the hot path, the body limit, the keys and the metrics, from the inside out.

    They are around it, and not its own middleware, because a request for the hot path would then pay for the outer
    layers of FastAPI as well.
    """
    settings = settings or Settings()
    app = create_app(settings)
    both, most = endpoints(settings), settings.max_body_bytes
    stack: ASGIApp = app
    if settings.hot_path and settings.tracing:
        app.add_middleware(TracedHotPath, state=app.state, endpoints=both, max_body_bytes=most)
    elif settings.hot_path:
        stack = InferFront(stack, app.state, Inference(settings))
    stack = BodyLimitMiddleware(stack, most, settings.max_batch_bytes)
    if settings.hot_path and not settings.tracing:
        stack = HotPath(stack, app.state, both, most)
    stack = guarded(stack, settings, page.FOLDER)
    stack = cross_origin(stack, settings)
    observing = ObservingMiddleware(stack, app.state.metrics, access_log(settings))
    # What stands between these two and the hot path would be passed by.
    if settings.hot_path and not (settings.tracing or settings.api_keys or settings.cors_origins):
        app.state.direct = InlineResponder(app.state, both, observing, most)
    return observing
