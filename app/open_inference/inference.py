"""The work of POST /v2/models/…/infer: parse, forecast, serialise.

FastAPI's endpoint (`app/open_inference/routes.py`) and the front (`app/api/hotpath.py`) both call it.
"""

import asyncio
import re
import time
from functools import cache
from typing import Any

import numpy.typing as npt
from starlette.datastructures import Headers
from starlette.responses import Response

from app.api.endpoints import ClientGone, array, beginning
from app.api.parsing import JSON, content_coding
from app.engine.repository import Repository, ServedModel
from app.errors import Diverged
from app.open_inference.compression import SMALLEST, accepted_coding, deflate, inflate
from app.open_inference.schemas import BINARY, VERSION
from app.open_inference.tensors import LENGTH_HEADER, Asked, TensorLimits, parse_request, response_json, tensor
from app.settings import Settings


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
            parsed = time.perf_counter()
            values, warnings = await _forecast(asked, current, client_gone)
            forecast = time.perf_counter()
            response = await _response(asked, values, warnings, current, headers.get("accept-encoding", ""))
        except Exception:
            current.inference.refused(time.perf_counter() - began)
            raise
        output_s = time.perf_counter() - forecast
        current.inference.answered(len(asked.x_BT), parsed - began, forecast - parsed, output_s)
        return response


inference = cache(Inference)
"""The endpoint with the limits of some settings. The same settings get the same object."""


async def _forecast(asked: Asked, current: ServedModel, client_gone: ClientGone) -> tuple[npt.NDArray[Any], str]:
    """Return the next values of all sequences, one sequence after the other, and the warnings about them."""
    seasons = [beginning(x_T, asked.season, current).season for x_T in asked.x_BT]
    forecasts = await current.forecaster.forecast_batch(
        [*asked.x_BT], asked.steps, asked.timeout_s, client_gone, seasons
    )
    for row, forecast in enumerate(forecasts):
        if forecast.diverged:  # a tensor cannot hold a row that ends early
            raise Diverged.in_row(row, steps=sum(map(len, forecast.chunks)))
    warnings = [
        f"{row}: {current.warning(fit)}"
        for row, forecast in enumerate(forecasts)
        if not current.fits(forecast.reached) and (fit := current.fit(forecast.reached))
    ]
    values = tensor([chunk_S for forecast in forecasts for chunk_S in forecast.chunks], asked.datatype)
    return values, "; ".join(warnings)


async def _response(
    asked: Asked, values: npt.NDArray[Any], warnings: str, current: ServedModel, accepted: str
) -> Response:
    headers = {}
    if asked.binary:
        head = response_json(asked, current.info.name, warnings, parameters={"binary_data_size": values.nbytes})
        headers[LENGTH_HEADER] = str(len(head))
        content, media_type = head + values.tobytes(), BINARY
    else:
        content, media_type = response_json(asked, current.info.name, warnings, data=await array([values])), JSON
    coding = accepted_coding(accepted) if len(content) >= SMALLEST else None
    if coding is not None:
        content = await asyncio.to_thread(deflate, coding, content)
        headers["content-encoding"] = coding
    response = Response(content, headers=headers, media_type=media_type)
    response.raw_headers.append(current.version)
    return response


_infer_path = re.compile(rf"/v2/models/([^/]+)(?:/versions/{VERSION})?/infer").fullmatch


def model_at(path: str, repository: Repository) -> ServedModel | None:
    """Return the model whose inference endpoint is at `path`, or None."""
    match = _infer_path(path)
    return repository.find(match[1]) if match else None
