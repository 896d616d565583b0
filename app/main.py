"""The composition of the service: `start_service()` is what `python -m app` has uvicorn run.

`create_app(settings)` is FastAPI's application alone, with every endpoint. Its lifespan loads the models.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache, partial

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import iter_route_contexts
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app import problems
from app.api import admin, documentation, forecast, live, openapi, page, series, service
from app.api.body_limit import BodyLimitMiddleware
from app.api.dependencies import Service, service_of
from app.api.endpoints import endpoints
from app.api.guard import guarded
from app.api.head import HeadMiddleware
from app.api.hotpath import Front, Handler
from app.engine.loading import UNUSABLE
from app.engine.reload import Serving
from app.errors import BodyTooLarge, HeadTooLarge, RequestTimeout
from app.open_inference import routes as open_inference
from app.open_inference.inference import inference, inference_at, model_at
from app.open_inference.schemas import InferRequest
from app.open_inference.tensors import LENGTH_HEADER
from app.server.edge import Edge
from app.server.inline import Immediate, InlineResponder
from app.server.shedding import LoadShedder
from app.server.shutdown import shutdown
from app.server.startup import CannotStart
from app.settings import Settings
from app.telemetry.busy import counting_busy
from app.telemetry.logs import access_log
from app.telemetry.metrics import Metrics
from app.telemetry.middleware import Recorder, RecordingMiddleware
from app.telemetry.tracing import start_tracing, telemetry
from app.time_series import routes as time_series


def start_service() -> ASGIApp:
    """Create the service with its models loaded, before a server starts: an error is then the caller's to explain.

    Raises:
        CannotStart: a model cannot be served.
    """
    settings = Settings()
    app = create_app(settings)
    try:
        service_of(app).serving.start()
    except UNUSABLE as error:
        raise CannotStart.because(error) from error
    return _surrounded(app, settings)


def create_service(settings: Settings | None = None) -> ASGIApp:
    """Create the service. Its lifespan loads the models."""
    settings = settings or Settings()
    return _surrounded(create_app(settings), settings)


def _surrounded(app: FastAPI, settings: Settings) -> ASGIApp:
    """Put the application behind the front, the body limit, the keys and the records, from the inside out.

    They are around the application, and not its own middleware, because a request that the front answers would then
    pay for the outer layers of FastAPI as well.
    """
    stack: ASGIApp = app
    if settings.hot_path and not settings.tracing:  # FastAPI's routing makes the spans
        stack = Front(stack, partial(handler, service_of(app)))
    stack = BodyLimitMiddleware(stack, settings.max_body_bytes, settings.max_batch_bytes)
    stack = guarded(stack, settings, page.FOLDER)
    stack = cross_origin(stack, settings)
    return RecordingMiddleware(stack, service_of(app).recorder)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Nothing is loaded before its lifespan starts."""
    settings = settings or Settings()
    # Its own copy of the documentation page's scripts: they work without an internet connection.
    app = FastAPIOffline(
        title="Sine RNN server",
        summary="The next value of a sequence, and its continuation, from a recurrent network.",
        version="1",  # of the HTTP contract; CONTRIBUTING.md says which version is which
        docs_url=None,
        redoc_url=None,
        servers=documentation.SERVERS,
        # Refusals in front of the routes, which every endpoint can answer
        responses=openapi.declared(RequestTimeout, BodyTooLarge, HeadTooLarge),
        redirect_slashes=False,  # a path is right or 404; a redirect would lose the body of many clients' requests
        lifespan=_lifespan,
        telemetry=telemetry(settings.tracing),
    )
    predict, generate = endpoints(settings)
    app.include_router(forecast.router(predict, generate))
    app.include_router(series.router(settings))
    app.include_router(time_series.router(settings))
    app.include_router(live.routes)
    app.include_router(service.routes)
    if settings.admin_keys is not None:
        app.include_router(admin.routes)
    app.include_router(open_inference.routes)
    app.include_router(documentation.routes)
    app.include_router(page.routes)
    app.add_middleware(HeadMiddleware)
    problems.install(app)
    openapi.install(app, settings, InferRequest)
    paths = (context.path for context in iter_route_contexts(app.routes) if context.path)
    metrics = Metrics(paths, settings.max_models)
    recorder, serving = Recorder(metrics, access_log(settings)), Serving(settings, metrics)
    app.state.service = Service(settings, predict, generate, metrics, recorder, serving)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
    """Load the models, if `start_service` has not, and serve them until the server stops.

    Yields what the HTTP edge needs.
    """
    this = service_of(app)
    settings = this.settings
    provider = start_tracing() if settings.tracing else None
    this.serving.start()
    # Half a million objects, most of them torch's, will never be garbage. A full collection would look at each of them,
    # for tens of milliseconds in the middle of somebody's request.
    gc.collect()
    gc.freeze()
    gc.collect()  # Python waits for garbage by a quarter of what the last full collection has left
    with (
        this.serving.on_hangup(),
        this.serving.on_change(),
        counting_busy(this.metrics.busy["event_loop"]),
        shutdown(this.serving.drain, settings.drain_delay_s),
    ):
        yield {"edge": _edge(this)}
    this.serving.stop()
    if provider is not None:
        await run_in_threadpool(provider.shutdown)  # sends what is left


def _edge(this: Service) -> Edge:
    settings, metrics = this.settings, this.metrics
    # An inline answer passes by whatever stands between the records and the front.
    can_answer = settings.hot_path and not (settings.tracing or settings.api_keys or settings.cors_origins)
    find = lru_cache(maxsize=256)(partial(immediate, this)) if can_answer else lambda url: None
    return Edge(
        shedder=LoadShedder(asyncio.get_running_loop(), 2 * settings.max_pending_s),
        inline=InlineResponder(this.serving, find, this.recorder, settings.max_body_bytes),
        publish_connections=metrics.connections.set,
        connections_of_others=partial(metrics.other_workers, metrics.connections),
        record_shed=metrics.turned_away,
        receive_timeout_s=settings.receive_timeout_s,
    )


def handler(this: Service, path: str) -> Handler | None:
    """Return the handler of POST requests to `path` in front of FastAPI's routing, or None."""
    for endpoint in (this.predict, this.generate):
        if path == endpoint.path:
            return lambda headers, body, gone: endpoint.respond(headers, body, this.serving.repository(), gone)
    served = model_at(path, this.serving.current) if this.serving.current is not None else None
    if served is None:
        return None
    return lambda headers, body, gone: inference(this.settings).respond(headers, body, served, gone)


def immediate(this: Service, url: bytes) -> Immediate | None:
    """Return the endpoint at `url` that can answer in front of ASGI, or None."""
    if url == b"/predict":
        return this.predict
    if url == b"/generate":
        return this.generate
    return inference_at(url, this.settings)


def cross_origin(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Put answers for the pages of other origins around `app`, if `settings` name them.

    This layer is outside the keys, because a browser's preflight request carries none. The service never reads cookies,
    so a page cannot act with its visitor's rights, and `*` is safe with keys.
    """
    if settings.cors_origins is None:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.cors_origins.split(","),
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["Authorization", "X-Request-Id", "traceparent", LENGTH_HEADER],
        expose_headers=["Retry-After", "X-Request-Id", "X-Model-Version", LENGTH_HEADER],
    )
