"""A client of the service for Python programs. `python -m app.client` is the client for the terminal.

    from app.client import Client

    with Client("http://localhost:8000") as client:
        client.predict(values).prediction                       # the next value
        client.generate(values, 100, level=[95]).values         # the next hundred; .intervals["lo-95"], …

        with client.stream(values, 10_000) as rollout:          # values as they are computed
            for part in rollout:
                part.values
        rollout.end.finish_reason

        answer = client.predict(values, diagnostics=True)
        answer.warnings                                         # reasons to mistrust the forecast; None without any
        answer.fit                                              # the model's errors on `values`, if they are known

        first = client.predict(values[:64], return_state=True)  # continue from a state, on any replica
        client.predict(values[64:], state=first.state)

        client.predict(values, model="other")                   # if several are served: see client.models()

`AsyncClient` has the same methods with `await`, `async with` and `async for`. Both build their requests from the models
of `app/schemas.py` and parse the answers into them. The service uses the same models, so there is one contract.

- ValueError: an argument has a wrong type or value, or a variable below cannot be used. Nothing is sent.
- `ServiceError`: the service refuses the request. Its `problem` holds the problem details.
- `httpx.HTTPError`: there is no answer, the answer breaks off, or it is not one of this service.

A sequence is any iterable of numbers: a list, a generator, an array of NumPy, a tensor. Text, truth values, nested
lists, and what has no order (a set, a dictionary) are not.

No request changes anything in the service, so every request may be repeated. The client repeats it after a 503 or a
429, when the `Retry-After` header says, and after a failed connection, until its patience ends. A stream that has begun
is not restarted.

Any number of threads or tasks may use one client. At most 32 requests and 100 streams are under way at once, and the
others wait. A stream is under way from the beginning of its block to the end.

The variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR have their usual meaning. A
service on the same machine (localhost, 127.0.0.1, ::1) is reached without a proxy.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, closing, contextmanager, nullcontext
from typing import Self, Unpack

import httpx
from tenacity import AsyncRetrying, Retrying

from app.client.address import clean_key, service_url
from app.client.connection import MOST_REQUESTS, MOST_STREAMS, explained, http_options
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
from app.client.retries import begin, retries
from app.schemas import GenerateResponse, ModelInfo, ModelList, PredictResponse

__all__ = ["PATIENCE_S", "URL", "AsyncClient", "Client", "Options", "Rollout", "ServiceError"]

URL = "http://localhost:8000"
PATIENCE_S = 30.0


class Client:
    """A client of one service. Several threads may use it. Use it as a context manager, or call `close`."""

    def __init__(
        self, service: str | httpx.Client = URL, *, api_key: str | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        """Create a client.

        Args:
            service: the address of the service, such as `localhost:8000` or `https://example.org/prefix`, without a
                user name. Or an httpx.Client with that address as its `base_url`, to set headers, certificates, proxies
                or timeouts. It is closed with this client.
            api_key: the key to send with each request, if the service requires one. Whitespace around it is left out.
            patience_s: a request is repeated only within this many seconds of the first attempt; 0 or more.

        Raises ValueError for an argument, a proxy or certificates that cannot be used. It shows no key or password.
        """
        self._headers = headers(clean_key(api_key, "api_key"))
        self._retries = retries(patience_s)
        self._requests, self._streams = threading.Semaphore(MOST_REQUESTS), threading.Semaphore(MOST_STREAMS)
        self._note = ""
        if isinstance(service, httpx.Client):
            service_url(str(service.base_url), "base_url of the httpx.Client")
            self._http = service
        else:
            options, self._note = http_options(service)
            self._http = httpx.Client(**options)

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
        with self._streams, closing(self._send("POST", "/generate/stream", content, stream=True)) as response:
            yield Rollout(response, self._note)

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

    def _send(self, method: str, path: str, content: bytes | None, stream: bool = False) -> httpx.Response:
        for attempt in Retrying(**self._retries):
            with attempt, nullcontext() if stream else self._requests:
                begin(attempt)
                return self._send_once(method, path, content, stream)
        raise AssertionError("the loop ends with an answer or an error")

    def _send_once(self, method: str, path: str, content: bytes | None, stream: bool) -> httpx.Response:
        request = self._http.build_request(method, path, content=content, headers=self._headers)
        with explained(self._note):
            response = self._http.send(request, stream=stream)
            if not response.is_success:
                response.read()
        if not response.is_success:
            raise service_error(response, self._note)
        return response


class AsyncClient:
    """A `Client` for asyncio. Its methods take the same arguments and raise the same errors."""

    def __init__(
        self, service: str | httpx.AsyncClient = URL, *, api_key: str | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self._headers = headers(clean_key(api_key, "api_key"))
        self._retries = retries(patience_s)
        self._requests, self._streams = asyncio.Semaphore(MOST_REQUESTS), asyncio.Semaphore(MOST_STREAMS)
        self._note = ""
        if isinstance(service, httpx.AsyncClient):
            service_url(str(service.base_url), "base_url of the httpx.AsyncClient")
            self._http = service
        else:
            options, self._note = http_options(service)
            self._http = httpx.AsyncClient(**options)

    async def predict(self, sequence: Iterable[float], **options: Unpack[Options]) -> PredictResponse:
        return await self._answer(PredictResponse, "POST", "/predict", prediction(sequence, options))

    async def generate(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> GenerateResponse:
        return await self._answer(GenerateResponse, "POST", "/generate", generation(sequence, steps, options))

    @asynccontextmanager
    async def stream(self, sequence: Iterable[float], steps: int, **options: Unpack[Options]) -> AsyncIterator[Rollout]:
        content = generation(sequence, steps, options)
        async with self._streams, aclosing(await self._send("POST", "/generate/stream", content, True)) as response:
            yield Rollout(response, self._note)

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

    async def _send(self, method: str, path: str, content: bytes | None, stream: bool = False) -> httpx.Response:
        async for attempt in AsyncRetrying(**self._retries):
            with attempt:
                async with nullcontext() if stream else self._requests:
                    begin(attempt)
                    return await self._send_once(method, path, content, stream)
        raise AssertionError("the loop ends with an answer or an error")

    async def _send_once(self, method: str, path: str, content: bytes | None, stream: bool) -> httpx.Response:
        request = self._http.build_request(method, path, content=content, headers=self._headers)
        with explained(self._note):
            response = await self._http.send(request, stream=stream)
            if not response.is_success:
                await response.aread()
        if not response.is_success:
            raise service_error(response, self._note)
        return response
