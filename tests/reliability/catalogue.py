"""Requests of every kind with their expected answers. The same code, without a server, computes each answer here."""

import asyncio
import gzip
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from starlette.datastructures import Headers

from app.api.endpoints import endpoints, stream
from app.api.live import LiveSequence
from app.engine.loading import load
from app.engine.repository import Repository
from app.errors import Problem
from app.open_inference.inference import Inference
from app.problems import problem_response
from app.settings import Settings
from app.telemetry.metrics import Metrics
from sine_client.messages import GenerateRequest, PredictRequest

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Prepared:
    """One request as bytes, with its expected answers."""

    kind: str
    wire: bytes
    answers: Mapping[int, bytes | None]
    """The body for each valid status; None allows any body. There is more than one status only if time decides."""

    def is_answered_by(self, status: int, body: bytes) -> bool:
        """Tell whether status and body are right, to the bit."""
        return status in self.answers and self.answers[status] in (None, body)


@dataclass(frozen=True)
class Streamed:
    """A rollout as a stream: the values of all its events, and its last event."""

    wire: bytes
    values: list[float]
    done: bytes


@dataclass
class Catalogue:
    """The requests that clients choose from."""

    requests: list[Prepared] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    streams: list[Streamed] = field(default_factory=list)
    sessions: list[list[tuple[str, str]]] = field(default_factory=list)
    """The sessions of /live: each is a list of messages with their answers."""

    def add(self, weight: float, *requests: Prepared) -> None:
        """Add requests that share a weight."""
        self.requests += requests
        self.weights += [weight / len(requests)] * len(requests)


def wire(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON) -> bytes:
    """Return a request's bytes."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


async def make_catalogue(model: Path, max_steps: int) -> Catalogue:
    """Draw the requests with a fixed seed. `model` and `max_steps` are those of the server under test."""
    settings = Settings(model=model, max_steps=max_steps)
    alone = _Alone(settings, load(settings, Metrics(())))
    draw, catalogue = random.Random(0), Catalogue()  # noqa: S311 - inputs, not secrets

    def sequence(length: int) -> list[float]:
        scale = draw.choice([1.0, 230.0, 1e-3, 1e6, 1e15])
        return [scale * draw.uniform(-1, 1) for _ in range(length)]

    async def predict(**fields: object) -> Prepared:
        return await alone.ask("/predict", {"sequence": sequence(draw.choice([4, 10, 64, 300])), **fields})

    async def generate(steps: int, **fields: object) -> Prepared:
        return await alone.ask(
            "/generate", {"sequence": sequence(draw.choice([4, 10, 64, 300])), "steps": steps, **fields}
        )

    catalogue.add(30, *[await predict() for _ in range(100)])
    catalogue.add(5, *[await predict(level=[80, 95]) for _ in range(20)])
    catalogue.add(20, *[await generate(draw.choice([1, 5, 20, 100])) for _ in range(100)])
    catalogue.add(3, *[await generate(10, level=[50]) for _ in range(20)])
    catalogue.add(1, *[await generate(3_000) for _ in range(5)])  # on the model's thread
    states = [await predict(return_state=True) for _ in range(20)] + [
        await generate(20, return_state=True) for _ in range(20)
    ]
    catalogue.add(5, *states)
    tokens = [json.loads(state.answers[200] or b"")["state"] for state in states]
    catalogue.add(5, *[await predict(state=token) for token in tokens])
    catalogue.add(5, *[await generate(20, state=token, return_state=True) for token in tokens])
    catalogue.add(3, *[await generate(20, timeout_s=30.0) for _ in range(20)])
    late = [await alone.late(sequence(20), 20_000) for _ in range(5)]
    catalogue.add(0.1, *late)
    for datatype in ("FP32", "FP64"):
        for as_binary in (True, False):
            rows = [(1, 16), (4, 64), (16, 8)]
            catalogue.add(
                4, *[await alone.infer(draw.choice(rows), draw.choice([1, 10]), datatype, as_binary) for _ in range(20)]
            )
        catalogue.add(0.3, await alone.infer((16, 64), 300, datatype, True))  # on the model's thread
        catalogue.add(0.5, *[await alone.infer((8, 64), 50, datatype, True, "gzip") for _ in range(4)])
    catalogue.add(10, *[await alone.ask(path, body) for path in ("/predict", "/generate") for body in _REFUSED])
    catalogue.add(2, await alone.ask("/predict", {"sequence": [1]}, {"content-type": "text/plain"}))
    catalogue.add(4, *[await alone.inferred(body, JSON) for body in (b"", b"{}", b"[" * 5_000, b'{"inputs": [1]}')])
    for steps in (1, 100, 1_000, 3_000):
        catalogue.streams.append(await alone.stream({"sequence": sequence(64), "steps": steps, "return_state": True}))
    for _ in range(20):
        catalogue.sessions.append(await alone.live([sequence(1)[0] for _ in range(draw.randint(1, 8))]))
    alone.served.forecaster.close()
    return catalogue


_REFUSED: list[Any] = [
    {},
    {"sequence": []},
    {"sequence": ["1"], "steps": 1},
    {"sequence": [1, None], "steps": 1},
    {"sequence": [1.1e15], "steps": 1},
    {"sequence": [1], "steps": 0},
    {"sequence": [1], "steps": 1, "other": 1},
    {"sequence": [1], "steps": 1, "state": "AAAA"},
    {"sequence": [1], "level": [80]},
    {"sequence": [1], "steps": 1, "timeout_s": -1},
    {"sequence": [0] * 4097},
    [1],
    None,
]


async def _forever() -> None:
    await asyncio.Event().wait()


class _Alone:
    """The service's code without a server and without other requests."""

    def __init__(self, settings: Settings, models: Repository) -> None:
        self.models, self.served = models, models.default
        self._longest = settings.max_sequence
        self._endpoints = {endpoint.path: endpoint for endpoint in endpoints(settings)}
        self._inference = Inference(settings)
        self._draw = np.random.default_rng(0)

    async def ask(self, path: str, body: object, headers: Mapping[str, str] = JSON) -> Prepared:
        content = json.dumps(body).encode()
        try:
            answer = await self._endpoints[path].respond(Headers(headers), content, self.models, _forever)
            answers: dict[int, bytes | None] = {200: bytes(answer.body)}
        except Problem as problem:
            answers = {problem.status: bytes(problem_response(problem).body)}
        return Prepared(path, wire("POST", path, content, headers), answers)

    async def late(self, sequence: list[float], steps: int) -> Prepared:
        """Make a request with a deadline too short for its work. The server gives up, or refuses it if work is waiting.

        It answers in full now and then, if the work ends before the server notices the deadline.
        """
        asked = {"sequence": sequence, "steps": steps}
        refused, done = await self.ask("/generate", asked | {"timeout_s": 1e-9}), await self.ask("/generate", asked)
        return Prepared("late", refused.wire, {503: None, **done.answers, **refused.answers})

    async def infer(
        self, shape: tuple[int, int], steps: int, datatype: str, as_binary: bool, coding: str | None = None
    ) -> Prepared:
        x_BT = self._draw.normal(size=shape).astype({"FP32": "<f4", "FP64": "<f8"}[datatype])
        given: dict[str, object] = {"name": "sequence", "shape": [*shape], "datatype": datatype}
        given |= {"parameters": {"binary_data_size": x_BT.nbytes}} if as_binary else {"data": x_BT.ravel().tolist()}
        parameters = {"steps": steps, "binary_data_output": as_binary}
        head = json.dumps({"inputs": [given], "parameters": parameters}).encode()
        headers = {"inference-header-content-length": str(len(head))} if as_binary else {}
        body = head + (x_BT.tobytes() if as_binary else b"")
        if coding is not None:
            headers |= {"content-encoding": coding, "accept-encoding": coding}
            body = gzip.compress(body)
        return await self.inferred(body, headers)

    async def inferred(self, body: bytes, headers: Mapping[str, str]) -> Prepared:
        path = f"/v2/models/{self.served.info.name}/infer"
        try:
            response = await self._inference.respond(Headers(headers), body, self.served, _forever)
        except Problem as problem:
            response = problem_response(problem, path)
        return Prepared("infer", wire("POST", path, body, headers), {response.status_code: bytes(response.body)})

    async def stream(self, body: Mapping[str, object]) -> Streamed:
        events = [event async for event in stream(GenerateRequest.model_validate(body), self.served)]
        values = [value for event in events[:-1] for value in json.loads(event.data)["values"]]
        return Streamed(wire("POST", "/generate/stream", json.dumps(body).encode()), values, events[-1].data)

    async def live(self, values: list[float]) -> list[tuple[str, str]]:
        sequence = LiveSequence(self.served, self.models.named, self._longest)
        answers = [await sequence.observe(PredictRequest(sequence=[value])) for value in values]
        return [(json.dumps(value), answer.decode()) for value, answer in zip(values, answers, strict=True)]
