"""The requests of a forecast of many series, which are sent in batches, a few at a time."""

import logging
from collections.abc import Iterable, Iterator, Sequence

from pydantic import ValidationError

from sine_client.messages import ForecastRequest, ForecastResponse, Series
from sine_client.table import MOST_BYTES, MOST_SERIES, Rows

AT_ONCE = 4
"""The number of batches that are under way together. More of them would only wait for each other in the service."""

log = logging.getLogger("sine_client")


def bodies(rows: Iterable[Rows], horizon: int, level: Sequence[int] | None, model: str | None) -> Iterator[bytes]:
    """Yield the bodies of the requests for so many series.

    Raises ValueError, pydantic's ValidationError, for what violates the contract.
    """
    levels = None if level is None else list(level)
    probe = [Series(unique_id="", y=[0.0])]
    options = ForecastRequest.model_validate(
        {"series": probe, "horizon": horizon, "level": levels, "model": model}, strict=True
    )
    head = options.model_dump_json(exclude={"series"}, exclude_defaults=True).encode()[:-1] + b',"series":['
    batch: list[bytes] = []
    for each in rows:
        part = _series(each)
        if batch and (len(batch) == MOST_SERIES or sum(map(len, batch)) + len(part) > MOST_BYTES):
            yield head + b",".join(batch) + b"]}"
            batch = []
        batch.append(part)
    if batch:
        yield head + b",".join(batch) + b"]}"


def _series(rows: Rows) -> bytes:
    try:
        series = Series.model_validate(
            {"unique_id": rows.id, "start": rows.start, "freq": rows.freq, "y": rows.y}, strict=True
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"/{part}" for part in first["loc"])
        raise ValueError(f"series {rows.id!r}: {place}: {first['msg']}") from None
    return series.model_dump_json(exclude_defaults=True).encode()


def report_misfits(responses: Sequence[ForecastResponse]) -> None:
    """Log how many series the model does not fit, and the warning of the first of them."""
    forecasts = [forecast for response in responses for forecast in response.forecasts]
    warned = [forecast for forecast in forecasts if forecast.warnings]
    if warned:
        first = warned[0]
        what = f"{len(warned)} of {len(forecasts)} forecasts have a warning"
        log.warning("%s; that of series %r: %s", what, first.unique_id, "; ".join(first.warnings or ()))
