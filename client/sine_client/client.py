"""The clients of the service, for threads and for asyncio. `sine_client/__init__.py` describes them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Self, Unpack

import httpx
from tenacity import AsyncRetrying, Retrying

from sine_client.address import clean_key, service_url
from sine_client.connection import MOST_REQUESTS, MOST_STREAMS, explained, http_options
from sine_client.exchange import (
    Answer,
    Options,
    Rollout,
    generation,
    headers,
    prediction,
    read,
    service_error,
)
from sine_client.messages import ForecastResponse, GenerateResponse, ModelInfo, ModelList, PredictResponse
from sine_client.retries import begin, retries

if TYPE_CHECKING:
    from sine_client.table import Rows

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

    def forecast(
        self,
        df: Any,
        horizon: int,
        level: Sequence[int] | None = None,
        freq: str | int | float | None = None,
        *,
        model: str | None = None,
        id_col: str | None = None,
        time_col: str | None = None,
        target_col: str = "y",
    ) -> Any:
        """Return the forecasts of the series in a DataFrame, as a DataFrame of the same kind.

        Args:
            df: series in long form, a row for each value: a DataFrame of pandas, polars, or another library that
                narwhals knows. Without a column of ids it is one series; without times, values are counted from 1.
            horizon: the number of steps to forecast for each series.
            level: levels of prediction intervals in per cent, such as [80, 95].
            freq: the frequency of the times, such as D, h or ME; found in the times of each series if it is None.
            model: the name of a served model; None is for the default one.
            id_col: the column that names the series; None is for `unique_id`, if there is one.
            time_col: the column of times; None is for `ds`, if there is one.
            target_col: the column of values.

        The answer has the ids, the times, a column with the model's name, and the ends of its intervals, such as
        `any-lo-95`. Series are sent in batches, a few at a time. The errors are those of the other methods.
        """
        from sine_client.frames import read_frame, write_frame  # NumPy and narwhals, which no other method needs

        given = read_frame(df, freq, id_col, time_col, target_col)
        responses = self.forecast_rows(given.rows, horizon, level, model)
        return write_frame(given, responses)

    def forecast_rows(
        self, rows: "Iterable[Rows]", horizon: int, level: Sequence[int] | None, model: str | None
    ) -> list[ForecastResponse]:
        """Return the answers to the requests for so many series, in their order."""
        from sine_client.batches import AT_ONCE, bodies, report_misfits

        contents = list(bodies(rows, horizon, level, model))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            responses = list(pool.map(partial(self._answer, ForecastResponse, "POST", "/forecast"), contents))
        report_misfits(responses)
        return responses

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

    async def forecast(
        self,
        df: Any,
        horizon: int,
        level: Sequence[int] | None = None,
        freq: str | int | float | None = None,
        *,
        model: str | None = None,
        id_col: str | None = None,
        time_col: str | None = None,
        target_col: str = "y",
    ) -> Any:
        from sine_client.batches import AT_ONCE, bodies, report_misfits
        from sine_client.frames import read_frame, write_frame

        given = await asyncio.to_thread(read_frame, df, freq, id_col, time_col, target_col)
        contents = await asyncio.to_thread(lambda: list(bodies(given.rows, horizon, level, model)))
        turn = asyncio.Semaphore(AT_ONCE)

        async def answer(content: bytes) -> ForecastResponse:
            async with turn:
                return await self._answer(ForecastResponse, "POST", "/forecast", content)

        responses = await asyncio.gather(*map(answer, contents))
        report_misfits(responses)
        return await asyncio.to_thread(write_frame, given, responses)

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
