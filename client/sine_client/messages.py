"""The wire contract: the requests that clients send and the answers that they get. The service imports it from here."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, PlainValidator
from pydantic_core import PydanticCustomError

from sine_client.limits import LARGEST_VALUE, LEVELS, LONGEST_SEASON
from sine_client.metadata import Metadata

Value = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST_VALUE, le=LARGEST_VALUE)]

Level = Annotated[int, Field(strict=True, ge=1, le=LEVELS)]

Season = Annotated[int, Field(strict=True, ge=1, le=LONGEST_SEASON)]

FinishReason = Literal["length", "diverged"]

_SINE = [0.0, 0.3090, 0.5878, 0.8090, 0.9511, 1.0, 0.9511, 0.8090, 0.5878, 0.3090]
_EXAMPLE = [*_SINE, *(0.0 - value for value in _SINE), *_SINE]
"""One and a half periods of a sine, with 20 samples a period."""


class Message(BaseModel):
    """A request, an answer, or a part of one."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PredictRequest(Message):
    """A sequence of observed values. Null stands for an optional field that is absent."""

    sequence: Annotated[list[Value], FailFast()] = Field(min_length=1, examples=[_EXAMPLE])
    """The values so far, oldest first, evenly spaced in time, in any unit. With `state`, only the values since then."""

    state: str | None = Field(default=None, strict=True, examples=[None])
    """A state token of an earlier answer. The sequence continues from there. After more than 64 values, its level and
    scale stay as they are."""

    return_state: bool | None = Field(default=False, strict=True, examples=[False])
    """Also answer with a state token, from which a later request can continue."""

    timeout_s: float | None = Field(default=None, strict=True, allow_inf_nan=False, gt=0, examples=[5])
    """Cancel the request after this many seconds. The service's own limit may be shorter."""

    level: list[Level] | None = Field(default=None, min_length=1, max_length=99, examples=[[80, 95]])
    """Also answer with prediction intervals of these levels, in percent."""

    season: Season | None = Field(default=None, examples=[None])
    """The number of values after which the sequence repeats, such as 12 for months; 1 for none. Without it, the season
    is found in the sequence. Only a model with anchors uses it."""

    diagnostics: bool | None = Field(default=False, strict=True, examples=[False])
    """Also answer with `fit`, the fit of the model to the sequence, and with `season`, if the model uses one."""

    model: str | None = Field(default=None, strict=True, examples=[None])
    """The name of a served model (`GET /models`). Without it, the default model answers."""


class GenerateRequest(PredictRequest):
    """A sequence of observed values, and the number of values to generate. Null stands for an optional field that is
    absent."""

    sequence: Annotated[list[Value], FailFast()] = Field(examples=[_EXAMPLE])
    """The values so far, oldest first, evenly spaced in time, in any unit: at least one. With `state`, only the values
    since then, if there are any."""

    steps: int = Field(strict=True, ge=1, examples=[20])
    """The number of values to generate."""


class Fit(Message):
    """How well the model has predicted the last values of the sequence, each from those before it."""

    residual: float = Field(examples=[0.00021])
    """The root mean square of the errors, in the unit of the sequence."""

    expected: float = Field(examples=[0.0011])
    """The residual that the model reaches on held-out sequences with as much noise as these errors show."""

    ratio: float = Field(examples=[0.19])
    """`residual` divided by `expected`. Where the model fits, it is about 1 or less."""

    values: int = Field(examples=[15])
    """The number of values whose errors these are."""


class _Judged(Message):
    fit: Fit | None = None
    """Only with `diagnostics`. It is null after fewer than 8 values, and for a model without calibrated fit."""

    season: int | None = Field(default=None, examples=[None])
    """Only with `diagnostics`, and only from a model that uses it: the season that was told or found, 1 for none."""

    warnings: list[str] | None = Field(default=None, examples=[None])
    """Only if there are any: the reasons to mistrust the forecast, for people. A model without calibrated fit never
    warns."""


class _Response(_Judged):
    intervals: dict[str, list[float]] | None = Field(
        default=None, examples=[{"lo-95": [0.5861], "lo-80": [0.5870], "hi-80": [0.5886], "hi-95": [0.5895]}]
    )
    """Only with `level`: the lower and upper ends of each level's interval, one for each value, in the unit of the
    sequence. On sequences like those that `GET /model` describes, an interval holds the true value as often as its
    level says. Its width follows the residual in `fit`; for a model without calibrated fit, the scale of the
    sequence."""

    state: str | None = None
    """Only with `return_state`: the sequence so far as an opaque token. It holds the values themselves while there are
    at most 64, and the model's memory of them after that. From `/predict`, it covers the observed values; from
    `/generate`, the rollout too. It is null if the memory is not finite."""


class PredictResponse(_Response):
    """The value that follows a sequence."""

    prediction: float = Field(examples=[0.5878])
    """The next value, in the unit of the sequence."""


class GenerateResponse(_Response):
    """The values that follow a sequence."""

    values: list[float] = Field(examples=[[0.5878, 0.8090, 0.9511]])
    """The next values, in the unit of the sequence. The first one equals the prediction of `/predict`."""

    finish_reason: FinishReason
    """`length`: the answer holds all steps. `diverged`: the rollout stopped being finite, and the answer ends before
    that step."""


class StreamedValues(Message):
    """The data of an event `values` of `/generate/stream`: the next part of the rollout."""

    values: list[float]
    intervals: dict[str, list[float]] | None = None
    """Only with `level`: the ends of the intervals around these values."""


class StreamEnd(_Judged):
    """The data of the event `done`, which ends a stream. A failed stream ends with `error` and a problem instead."""

    finish_reason: FinishReason
    state: str | None = None
    """Only with `return_state`: the sequence and its rollout as an opaque token. It is null if the memory is not
    finite."""


def _name(value: object) -> str | int:
    """Return a name of a series. It is a function because the error of a union has a pointer for each type."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise PydanticCustomError("name", "Input should be text or a whole number")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise PydanticCustomError("name", "Input should be text or a whole number from -2^63 to 2^64 - 1")
    return value


def _time(value: object) -> str | int | float:
    """Return a time or a frequency, whose text is read later."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError("time", "Input should be text or a finite number")
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("time", "Input should be text or a finite number")
    return value


Name = Annotated[str | int, PlainValidator(_name, json_schema_input_type=str | int)]

Time = Annotated[str | int | float, PlainValidator(_time, json_schema_input_type=str | int | float)]


class Series(Message):
    """A series of observed values, evenly spaced in time."""

    unique_id: Name = Field(examples=["a"])
    """The name of the series. The answer repeats it."""

    start: Time | None = Field(default=None, examples=["2026-01-31"])
    """The time of the first value: a date like 2026-01-31, a time like 2026-01-31T12:00 or
    2026-01-31T12:00+01:00[Europe/Berlin], or a number. Without it, values are counted from 1."""

    freq: Time | None = Field(default=None, examples=["ME"])
    """The distance of neighbouring values: a number and a unit, like 15min, h, D, W, B, MS, ME, QE or YE; a number if
    `start` is one. It is needed with `start`."""

    y: Annotated[list[Value], FailFast()] = Field(min_length=1, examples=[_EXAMPLE])
    """The values so far, oldest first, in any unit."""


class ForecastRequest(Message):
    """Series to forecast. Null stands for an optional field that is absent."""

    series: list[Series] = Field(min_length=1)

    horizon: int = Field(strict=True, ge=1, examples=[6])
    """The number of values to forecast for each series."""

    level: list[Level] | None = Field(default=None, min_length=1, max_length=99, examples=[[80, 95]])
    """Also answer with prediction intervals of these levels, in percent."""

    model: str | None = Field(default=None, strict=True, examples=[None])
    """The name of a served model (`GET /models`). Without it, the default model answers."""

    timeout_s: float | None = Field(default=None, strict=True, allow_inf_nan=False, gt=0, examples=[5])
    """Cancel the request after this many seconds. The service's own limit may be shorter."""


class SeriesForecast(Message):
    """The forecast of one series."""

    unique_id: str | int
    ds: list[str] | list[int] | list[float] = Field(examples=[["2026-08-31", "2026-09-30"]])
    """The times of the values, in the form of the series' start."""

    values: list[float] = Field(examples=[[0.5878, 0.8090]])
    """The next values, in the unit of the series."""

    intervals: dict[str, list[float]] | None = Field(default=None, examples=[None])
    """Only with `level`: the ends of each level's interval, as in the answer of `/generate`."""

    warnings: list[str] | None = Field(default=None, examples=[None])
    """Only if there are any: the reasons to mistrust the forecast, for people."""


class ForecastResponse(Message):
    """The forecasts of all series of a request."""

    model: str = Field(examples=["any"])
    """The name of the model."""

    forecasts: list[SeriesForecast]
    """The forecasts, in the order of the series."""


class Example(Message):
    """A sequence that the model fits. It comes with the artifact, as the beginning of a golden rollout."""

    sequence: list[float] = Field(examples=[_EXAMPLE])
    season: int = Field(examples=[1])
    """The season of the sequence, 1 for none."""


class ModelInfo(Metadata):
    """A served model."""

    digest: str
    """sha256 of the artifact, hexadecimal."""

    runtime: str
    """The engine that executes the model."""

    runtime_reason: str
    """The reason for this runtime. If the fast one cannot be used, it says why."""

    device: str
    """The device that executes the model."""

    example: Example
    """A sequence to try the model with."""


class ModelList(Message):
    """The served models."""

    default: str
    """The name of the model that answers requests without a model's name."""

    models: list[ModelInfo]
    """All models, the default first."""


class Health(Message):
    """The health of the service, for people. Programs read the status code."""

    status: str


class FieldError(Message):
    """One error in a request."""

    pointer: str = Field(examples=["/sequence/2"])
    """The place in the body, as a JSON Pointer (RFC 6901). It is empty for the body as a whole."""

    detail: str = Field(examples=["input should be a valid number"])
    """A description of the allowed input."""


class ProblemDetails(Message):
    """The reason why a request was refused, as problem details (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Unprocessable Content"])
    """The meaning of the status code."""

    status: int = Field(examples=[422])
    detail: str = Field(examples=["/sequence/2: input should be a valid number"])
    """The error, and what is allowed instead. It never repeats the input."""

    errors: list[FieldError] | None = None
    """With status 422: each error in the request."""
