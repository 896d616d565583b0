"""Every metric of the service, declared in one place. docs/operations.md explains how to read them."""

import os
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.errors import REASONS
from app.shared_memory.folders import METRICS_FOLDER
from app.telemetry.inference import OUTCOMES, PARTS, InferenceCounters
from app.telemetry.instruments import Counter, Histogram
from app.telemetry.registry import Registry

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_OTHER = "other"  # the route that stands for all paths without a route
_CLIENT_GONE = 499  # proxies log this status for a client that did not wait
_STATUSES = sorted({*map(int, HTTPStatus), _CLIENT_GONE})
_LATENCIES_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_STAGES = ("inline", "encode", "rollout")
_ROWS = (1, 2, 4, 8, 16, 32, 64)
_RATIOS = (2, 5, 10, 30, 100, 1000)


class Route(NamedTuple):
    """The metrics of one route."""

    path: bytes
    """The template of the path."""

    latency: Histogram
    requests: Mapping[int, Counter]
    """By status."""


class Stage(NamedTuple):
    """The work of the model in one stage."""

    steps: Counter
    seconds: Counter

    def ran(self, steps: int, seconds: float) -> None:
        """Count so many steps, and the seconds that all of them took."""
        self.steps.add(steps)
        self.seconds.add(seconds)


class Misfits(NamedTuple):
    """The forecasts of one model that have a warning."""

    warnings: Counter
    ratios: Histogram

    def add(self, ratio: float) -> None:
        """Count a forecast with this ratio of its fit."""
        self.warnings.add()
        self.ratios.observe(ratio)


class Metrics:
    """The metrics of one worker. `expose` shows the sum over all workers."""

    def __init__(self, routes: Iterable[str], models: int = 64) -> None:
        """`routes` are templates of paths. Requests are counted by them, and all other paths count as `other`.

        `models` is the most names of models that can be counted.
        """
        folder = os.environ.get(METRICS_FOLDER)
        made = Registry(Path(folder) if folder is not None else None, models)
        self.expose = made.expose
        self.other_workers = made.other_workers
        route, status = [*dict.fromkeys(routes), _OTHER], [*map(str, _STATUSES)]

        # Requests, by the route's template
        requests = made.counter("sine_requests", "Requests answered.", route=route, status=status)
        took = "From a request's headers to its response's last byte."
        latency = made.histogram("sine_request_duration_seconds", took, _LATENCIES_S, route=route)
        refusals = made.counter("sine_refusals", "Requests refused or given up.", reason=REASONS)
        self.connections = made.gauge("sine_connections", "Connections open, WebSockets among them.")
        self.sockets = made.gauge("sine_websockets", "WebSocket connections open.")
        messages = made.counter("sine_websocket_messages", "WebSocket messages.", direction=("received", "sent"))

        # The model's work. `inline` is a whole small forecast at once. All others are encoded and rolled out in turns.
        steps = made.counter("sine_steps", "Steps of the network executed.", stage=_STAGES)
        busy = made.counter("sine_model_seconds", "Seconds that the model took for them.", stage=_STAGES)
        worked = "Seconds that the event loop's thread, or the models' threads, had work to do."
        worked_s = made.counter("sine_busy_seconds", worked, thread=("event_loop", "model"))
        self.rows = made.histogram("sine_batch_size", "Forecasts in a turn of the model's thread.", _ROWS)[()]
        self.waited = made.histogram("sine_queue_wait_seconds", "From admission to the first turn.", _LATENCIES_S)[()]
        self.pending = made.gauge("sine_pending_steps", "Steps admitted and not yet done.")
        ends = ("length", "diverged", "deadline", "client_gone", "failed")
        rollouts = made.counter("sine_rollouts", "Forecasts admitted that ended.", finish_reason=ends)

        # The Open Inference Protocol, by model
        by_model, asked_for = made.counter_by_model, "Requests of the Open Inference Protocol."
        asked = by_model("sine_inference_requests", asked_for, outcome=OUTCOMES)
        took = "Seconds from a request's body to its answer, and those of the answered ones by part."
        spent = by_model("sine_inference_seconds", took, part=(*OUTCOMES, *PARTS))
        continued = "Sequences continued by requests of the Open Inference Protocol."
        sequences = by_model("sine_inference_sequences", continued)

        # Forecasts of sequences that a model does not fit, by model
        warned = by_model("sine_warnings", "Forecasts with a warning that the model does not fit the sequence.")
        times = "Errors of forecasts with a warning on the values given, as multiples of what noise explains."
        ratios = made.histogram_by_model("sine_fit_ratio", times, _RATIOS)

        # Workers
        self.started = made.counter("sine_workers_started", "Workers started: more than live, where some died.")[()]
        self.alive = made.gauge("sine_workers", "Workers alive.")
        self.ready = made.gauge("sine_workers_ready", "Workers that serve the model.")
        self.models = made.info("sine_model", "The models in service.")

        # Looked up once, because a look-up costs as much as counting
        self.routes = {
            path: Route(path.encode(), latency[path,], {int(s): requests[path, s] for s in status}) for path in route
        }
        self.other = self.routes[_OTHER]
        self.refused = {reason: refusals[reason,] for reason in REASONS}
        self.received, self.sent = messages["received",], messages["sent",]
        self.stages = {stage: Stage(steps[stage,], busy[stage,]) for stage in _STAGES}
        self.busy = {thread: counter for (thread,), counter in worked_s.items()}
        self.ended = {reason: rollouts[reason,] for reason in ends}
        self.inference_of: Callable[[str], InferenceCounters] = lambda model: InferenceCounters(
            asked(model), spent(model), sequences(model)[()], made.totals
        )
        self.misfits_of: Callable[[str], Misfits] = lambda model: Misfits(warned(model)[()], ratios(model))

    def turned_away(self, path: str) -> None:
        """Count a request that was refused before anything was done for it (`app/server/shedding.py`)."""
        self.refused["overloaded"].add()
        self.routes.get(path, self.other).requests[HTTPStatus.SERVICE_UNAVAILABLE].add()
