"""A client of the service, for Python programs; `python -m app.client` is one for the terminal.

    from app.client import Client

    with Client("http://localhost:8000") as client:
        client.predict(values).prediction                       # the next value
        client.generate(values, 100, level=[95]).values         # the next hundred; .intervals["lo-95"], …

        with client.stream(values, 10_000) as rollout:          # the same as it is computed
            for part in rollout:
                part.values
        rollout.end.finish_reason

        first = client.predict(values[:64], return_state=True)  # go on from a state, on any replica
        client.predict(values[64:], state=first.state)

        client.predict(values, model="other")                   # where several are served: see client.models()

`AsyncClient` has the same methods with `await`, `async with` and `async for`. Both build their requests from the models
of `app/schemas.py` and read the answers into them, which are those that the service has: there is one contract. What no
service would take raises ValueError before it is sent. What this one refuses raises `ServiceError`, which has its
problem. What has no answer, or no end, raises `httpx.HTTPError`.

No request changes anything in the service, so each may be sent again: after a 503 or a 429, when its `Retry-After`
says, and after a connection that failed, for as long as the client's patience lasts. A stream that has begun is not
begun anew.
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
"""Without a byte from the service, which gives up sooner (SINE_TIMEOUT_S) and keeps a stream alive every 15 s."""


class Client:
    """Asks a service. Usable from several threads; use it as a context manager, or `close` it."""

    def __init__(
        self, service: str | httpx.Client = URL, *, api_key: str | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        """
        Args:
            service: its address; or an httpx.Client with that as its `base_url`, for what its options do (headers,
                certificates, proxies, timeouts). It is closed with this one.
            api_key: shown with each request, to a service that wants one.
            patience_s: a request is sent again only within this many seconds of the first time.
        """
        if isinstance(service, str):
            service = httpx.Client(base_url=service, timeout=_TIMEOUT_S)
        self._http = service
        self._headers = headers(api_key)
        self._send = Retrying(**retries(patience_s)).wraps(self._send_once)

    def predict(self, sequence: Iterable[float], **options: Unpack[Options]) -> PredictResponse:
        """The value that follows `sequence`; with a state, the values that came since."""
        return self._answer(PredictResponse, "POST", "/predict", prediction(sequence, options))

    def generate(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> GenerateResponse:
        """The `steps` values that follow `sequence`, which may be empty with a state."""
        return self._answer(GenerateResponse, "POST", "/generate", generation(sequence, steps, options))

    @contextmanager
    def stream(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> Iterator[Rollout]:
        """The values of `generate` as they are computed. Leaving the block before the end stops the work."""
        content = generation(sequence, steps, options)
        with closing(self._send("POST", "/generate/stream", content, stream=True)) as response:
            yield Rollout(response)

    def model(self) -> ModelInfo:
        """What is served; of several, the one that answers requests without a `model`."""
        return self._answer(ModelInfo, "GET", "/model")

    def models(self) -> ModelList:
        """All that is served."""
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
    """`Client` for asyncio."""

    def __init__(
        self, service: str | httpx.AsyncClient = URL, *, api_key: str | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        if isinstance(service, str):
            service = httpx.AsyncClient(base_url=service, timeout=_TIMEOUT_S)
        self._http = service
        self._headers = headers(api_key)
        self._send = AsyncRetrying(**retries(patience_s)).wraps(self._send_once)

    async def predict(self, sequence: Iterable[float], **options: Unpack[Options]) -> PredictResponse:
        """See `Client.predict`."""
        return await self._answer(PredictResponse, "POST", "/predict", prediction(sequence, options))

    async def generate(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> GenerateResponse:
        """See `Client.generate`."""
        return await self._answer(GenerateResponse, "POST", "/generate", generation(sequence, steps, options))

    @asynccontextmanager
    async def stream(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> AsyncIterator[Rollout]:
        """See `Client.stream`."""
        content = generation(sequence, steps, options)
        async with aclosing(await self._send("POST", "/generate/stream", content, stream=True)) as response:
            yield Rollout(response)

    async def model(self) -> ModelInfo:
        """See `Client.model`."""
        return await self._answer(ModelInfo, "GET", "/model")

    async def models(self) -> ModelList:
        """See `Client.models`."""
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
