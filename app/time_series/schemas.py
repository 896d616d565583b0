"""The wire contract of KServe's protocol for time series.

KServe's Python package defines it in `kserve.protocol.rest.timeseries.types`. Every message may have further fields,
which are ignored. Null stands for an optional field that is absent.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from sine_client.messages import Value

Kind = Literal["univariate_time_series", "multivariate_time_series"]

MONTHS = {"M": 1, "Q": 3, "Y": 12}
SECONDS = {"S": 1, "T": 60, "H": 3600, "D": 86_400, "W": 7 * 86_400}

Frequency = Literal[
    "second", "S", "minute", "T", "hour", "H", "day", "D", "week", "W", "month", "M", "quarter", "Q", "year", "Y"
]  # fmt: skip

SHORT = {"second": "S", "minute": "T", "month": "M"} | {
    name: name[0].upper() for name in ("hour", "day", "week", "quarter", "year")
}
"""The short form of each name of a frequency."""

Quantile = Annotated[float, Field(strict=True, gt=0, lt=1)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class TimeSeriesInput(_Message):
    """A series to forecast."""

    type: Literal["univariate_time_series"]
    """The models here see one series. Send each variable of a multivariate series as an input of its own."""

    name: str = Field(strict=True, examples=["sales"])
    """The name of the series. The answer repeats it."""

    series: Annotated[list[Value], FailFast()] = Field(min_length=1, examples=[[1.0, 2.0, 3.0, 2.0, 1.0]])
    """The values so far, oldest first, evenly spaced in time."""

    frequency: Frequency = Field(examples=["day"])
    """The distance of neighbouring values."""

    start_timestamp: str | None = Field(default=None, strict=True, examples=["2026-01-31T00:00:00Z"])
    """The time of the first value in ISO 8601, in UTC if it has no offset. Without it, the series ends now."""


class ForecastOptions(_Message):
    horizon: int = Field(strict=True, ge=1, examples=[3])
    """The number of values to forecast for each series."""

    quantiles: list[Quantile] | None = Field(default=None, max_length=99, examples=[[0.1, 0.9]])
    """The quantiles to forecast. Quantile q ends the interval of level |1 - 2q|, a whole number of per cent."""


class TimeSeriesRequest(_Message):
    """Series to forecast."""

    model: str = Field(strict=True, examples=["any"])
    """The name of a served model."""

    inputs: list[TimeSeriesInput] = Field(min_length=1)
    options: ForecastOptions
    metadata: dict[str, Any] | None = None
    """Accepted and ignored."""


class TimeSeriesForecast(_Message):
    type: Kind
    name: str
    mean_forecast: list[float]
    """The next values. The intervals of `quantiles` are around them."""

    frequency: Frequency
    start_timestamp: str = Field(examples=["2026-02-05T00:00:00Z"])
    """The time of the first forecast: that of the first value, and as many steps later as the series has values."""

    quantiles: dict[str, list[float]] | None = None


class ForecastOutput(_Message):
    type: Literal["time_series_forecast"]
    id: str
    status: Literal["completed"]
    content: list[TimeSeriesForecast]
    error: None = None


class Usage(_Message):
    prompt_tokens: int
    """The number of values given."""

    completion_tokens: int
    """The number of values forecast."""

    total_tokens: int


class TimeSeriesResponse(_Message):
    """The forecasts of all inputs, in their order."""

    id: str
    created_at: int
    """Seconds since 1970, in UTC."""

    status: Literal["completed"]
    error: None = None
    model: str
    outputs: list[ForecastOutput]
    usage: Usage | None = None
