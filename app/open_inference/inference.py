"""The work of POST /v2/models/…/infer: parse, forecast, serialise.

FastAPI's endpoint (`app/open_inference/routes.py`), the front (`app/api/hotpath.py`) and inline answers
(`app/server/inline.py`) all call it.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy.typing as npt
from starlette.datastructures import Headers
from starlette.responses import Response

from app.api.endpoints import SLICE, array
from app.api.exchange import ClientGone, RawHeaders, Written, at_once, first_value
from app.api.parsing import JSON, content_coding
from app.api.series import seasons_of
from app.engine.repository import Repository, ServedModel
from app.errors import Diverged
from app.open_inference.compression import SMALLEST, accepted_coding, deflate, inflate
from app.open_inference.schemas import BINARY, VERSION
from app.open_inference.tensors import LENGTH_HEADER, Asked, TensorLimits, parse_request, response_json, tensor
from app.settings import Settings

_LENGTH = LENGTH_HEADER.encode()


class Inference:
    """The endpoint, with the limits of a server."""

    def __init__(self, settings: Settings) -> None:
        self.limits = TensorLimits(
            settings.max_batch, settings.max_sequence, settings.max_steps, settings.max_body_bytes
        )
        self._max_bytes = settings.max_batch_bytes

    async def respond(self, headers: Headers, body: bytes, current: ServedModel, client_gone: ClientGone) -> Response:
        """Return the response to `body`. Raises Problem if the request is refused."""
        began = time.perf_counter()
        try:
            if coding := content_coding(headers):
                body = await asyncio.to_thread(inflate, coding, body, self._max_bytes)
            asked = parse_request(body, headers.get(LENGTH_HEADER), self.limits)
            written = await _answer(asked, began, current, headers.get("accept-encoding", ""), client_gone)
        except Exception:
            current.inference.refused(time.perf_counter() - began)
            raise
        return written.response()

    def respond_synchronously(self, headers: RawHeaders, body: bytes, current: ServedModel) -> Written | None:
        """Return the answer to an uncompressed `body`; None if there is too much work to do at once.

        An answer that may be compressed is such work too. Raises Problem if the request is refused.
        """
        if accepted_coding((first_value(headers, b"accept-encoding") or b"").decode("latin-1")):
            return None
        began = time.perf_counter()
        try:
            length = first_value(headers, _LENGTH)
            asked = parse_request(body, None if length is None else length.decode("latin-1"), self.limits)
            values = len(asked.x_BT) * asked.steps
            if values > SLICE or not current.forecaster.is_inline(asked.x_BT.size + values):
                return None
            return at_once(_answer(asked, began, current, ""))
        except Exception:
            current.inference.refused(time.perf_counter() - began)
            raise


inference = cache(Inference)
"""The endpoint with the limits of some settings. The same settings get the same object."""


@dataclass(frozen=True)
class ModelInference:
    """The endpoint of one model, by its name."""

    path: str
    """The template of its route."""

    name: str
    inference: Inference

    def respond_synchronously(self, headers: RawHeaders, body: bytes, repository: Repository) -> Written | None:
        """Answer as `Inference.respond_synchronously` does, with the model of this name. None if there is none."""
        served = repository.find(self.name)
        return None if served is None else self.inference.respond_synchronously(headers, body, served)


async def _answer(
    asked: Asked, began: float, current: ServedModel, accepted: str, client_gone: ClientGone | None = None
) -> Written:
    """Return the answer to a request that was read since `began`, and count it."""
    parsed = time.perf_counter()
    values, warnings = await _forecast(asked, current, client_gone)
    forecast = time.perf_counter()
    written = await _written(asked, values, warnings, current, accepted)
    output_s = time.perf_counter() - forecast
    current.inference.answered(len(asked.x_BT), parsed - began, forecast - parsed, output_s)
    return written


async def _forecast(asked: Asked, current: ServedModel, client_gone: ClientGone | None) -> tuple[npt.NDArray[Any], str]:
    """Return the next values of all sequences, one sequence after the other, and the warnings about them."""
    rows = [*asked.x_BT]
    seasons = await seasons_of(rows, current, asked.season)
    forecasts = await current.forecaster.forecast_batch(rows, asked.steps, asked.timeout_s, client_gone, seasons)
    warnings = []
    for row, forecast in enumerate(forecasts):
        if forecast.diverged:  # a tensor cannot hold a row that ends early
            raise Diverged.in_row(row, steps=sum(map(len, forecast.chunks)))
        if not current.fits(forecast.reached) and (fit := current.fit(forecast.reached)):
            warnings.append(f"{row}: {current.warning(fit)}")
    values = tensor([chunk_S for forecast in forecasts for chunk_S in forecast.chunks], asked.datatype)
    return values, "; ".join(warnings)


async def _written(
    asked: Asked, values: npt.NDArray[Any], warnings: str, current: ServedModel, accepted: str
) -> Written:
    headers = []
    if asked.binary:
        head = response_json(asked, current.info.name, warnings, parameters={"binary_data_size": values.nbytes})
        headers.append((_LENGTH, b"%d" % len(head)))
        content, media_type = head + values.tobytes(), BINARY
    else:
        content, media_type = response_json(asked, current.info.name, warnings, data=await array([values])), JSON
    coding = accepted_coding(accepted) if len(content) >= SMALLEST else None
    if coding is not None:
        content = await asyncio.to_thread(deflate, coding, content)
        headers.append((b"content-encoding", coding.encode()))
    headers += [(b"content-length", b"%d" % len(content)), (b"content-type", media_type.encode()), current.version]
    return Written(content, headers)


_infer_path = re.compile(rf"/v2/models/([^/]+)(/versions/{VERSION})?/infer").fullmatch


def model_at(path: str, repository: Repository) -> ServedModel | None:
    """Return the model whose inference endpoint is at `path`, or None."""
    match = _infer_path(path)
    return repository.find(match[1]) if match else None


def inference_at(url: bytes, settings: Settings) -> ModelInference | None:
    """Return the endpoint at `url`; None if there is none, or if the URL has a query or an encoded character."""
    match = None if b"%" in url or b"?" in url else _infer_path(url.decode("latin-1"))
    if not match:
        return None
    version = "/versions/{version}" if match[2] else ""
    return ModelInference(f"/v2/models/{{model}}{version}/infer", match[1], inference(settings))
