"""A client of the service for Python programs. `python -m app.client` is the client for the terminal.

    from app.client import Client

    with Client("http://localhost:8000") as client:
        client.predict(values).prediction                       # the next value
        client.generate(values, 100, level=[95]).values         # the next hundred; .intervals["lo-95"], …

        with client.stream(values, 10_000) as rollout:          # values as they are computed
            for part in rollout:
                part.values
        rollout.end.finish_reason

        first = client.predict(values[:64], return_state=True)  # continue from a state, on any replica
        client.predict(values[64:], state=first.state)

        client.predict(values, model="other")                   # if several are served: see client.models()

`AsyncClient` has the same methods with `await`, `async with` and `async for`. Both build their requests from the models
of `app/schemas.py` and parse the answers into them. The service uses the same models, so there is one contract.

- ValueError: the request violates the contract; it is not sent.
- `ServiceError`: the service refuses the request. Its `problem` holds the problem details.
- `httpx.HTTPError`: there is no answer, or the answer breaks off.

No request changes anything in the service, so every request may be repeated. The client repeats it after a 503 or a
429, when the `Retry-After` header says, and after a failed connection, until its patience ends. A stream that has begun
is not restarted.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from typing import Self, Unpack

import httpx
from tenacity import AsyncRetrying, Retrying

from app.client.messages import (
    Answer,
    Options,
    Rollout,
    ServiceError,
    generation,
    headers,
    prediction,
    read,
    service_error,
)
from app.client.retries import retries
from app.schemas import GenerateResponse, ModelInfo, ModelList, PredictResponse

__all__ = ["PATIENCE_S", "URL", "AsyncClient", "Client", "Options", "Rollout", "ServiceError"]

URL = "http://localhost:8000"
PATIENCE_S = 30.0

_TIMEOUT_S = 60
"""A request fails if the service sends nothing for this many seconds.

The service itself gives up sooner (SINE_TIMEOUT_S) and keeps a stream alive with a comment every 15 s.
"""


class Client:
    """A client of one service. Several threads may use it. Use it as a context manager, or call `close`."""

    def __init__(
        self, service: str | httpx.Client = URL, *, api_key: str | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        """Create a client.

        Args:
            service: the address of the service, or an httpx.Client with that address as its `base_url`, to set headers,
                certificates, proxies or timeouts. It is closed with this client.
            api_key: the key to send with each request, if the service requires one.
            patience_s: a request is repeated only within this many seconds of the first attempt.
        """
        if isinstance(service, str):
            service = httpx.Client(base_url=service, timeout=_TIMEOUT_S)
        self._http = service
        self._headers = headers(api_key)
        self._send = Retrying(**retries(patience_s)).wraps(self._send_once)

    def predict(self, sequence: Iterable[float], **options: Unpack[Options]) -> PredictResponse:
        """Return the value that follows `sequence`. With a state, `sequence` holds the values since that state."""
        return self._answer(PredictResponse, "POST", "/predict", prediction(sequence, options))

    def generate(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> GenerateResponse:
        """Return the `steps` values that follow `sequence`. With a state, `sequence` may be empty."""
        return self._answer(GenerateResponse, "POST", "/generate", generation(sequence, steps, options))

    @contextmanager
    def stream(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> Iterator[Rollout]:
        """Stream the values of `generate` as they are computed. Leaving the block early stops the computation."""
        content = generation(sequence, steps, options)
        with closing(self._send("POST", "/generate/stream", content, stream=True)) as response:
            yield Rollout(response)

    def model(self) -> ModelInfo:
        """Return the served model. If several are served, it is the one that answers requests without a `model`."""
        return self._answer(ModelInfo, "GET", "/model")

    def models(self) -> ModelList:
        """Return all served models."""
        return self._answer(ModelList, "GET", "/models")

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, kind: type[Answer], method: str, path: str, content: bytes | None = None) -> Answer:
        return read(kind, self._send(method, path, content).content)

    def _send_once(self, method: str, path: str, content: bytes | None, stream: bool = False) -> httpx.Response:
        request = self._http.build_request(method, path, content=content, headers=self._headers)
        response = self._http.send(request, stream=stream)
        if not response.is_success:
            response.read()
            raise service_error(response)
        return response


class AsyncClient:
    """A `Client` for asyncio. Its methods take the same arguments and raise the same errors."""

    def __init__(
        self, service: str | httpx.AsyncClient = URL, *, api_key: str | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        if isinstance(service, str):
            service = httpx.AsyncClient(base_url=service, timeout=_TIMEOUT_S)
        self._http = service
        self._headers = headers(api_key)
        self._send = AsyncRetrying(**retries(patience_s)).wraps(self._send_once)

    async def predict(self, sequence: Iterable[float], **options: Unpack[Options]) -> PredictResponse:
        return await self._answer(PredictResponse, "POST", "/predict", prediction(sequence, options))

    async def generate(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> GenerateResponse:
        return await self._answer(GenerateResponse, "POST", "/generate", generation(sequence, steps, options))

    @asynccontextmanager
    async def stream(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> AsyncIterator[Rollout]:
        content = generation(sequence, steps, options)
        async with aclosing(await self._send("POST", "/generate/stream", content, stream=True)) as response:
            yield Rollout(response)

    async def model(self) -> ModelInfo:
        return await self._answer(ModelInfo, "GET", "/model")

    async def models(self) -> ModelList:
        return await self._answer(ModelList, "GET", "/models")

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _answer(self, kind: type[Answer], method: str, path: str, content: bytes | None = None) -> Answer:
        return read(kind, (await self._send(method, path, content)).content)

    async def _send_once(self, method: str, path: str, content: bytes | None, stream: bool = False) -> httpx.Response:
        request = self._http.build_request(method, path, content=content, headers=self._headers)
        response = await self._http.send(request, stream=stream)
        if not response.is_success:
            await response.aread()
            raise service_error(response)
        return response
