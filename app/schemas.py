"""The additions of the service to the wire contract (`sine_client/messages.py`): the limits of a server, the models in
service, and the errors of another protocol."""

from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, FailFast, Field, create_model

from model.metadata import Metadata
from sine_client import messages
from sine_client.messages import ForecastRequest, GenerateRequest, PredictRequest, Series, Value


class ModelInfo(Metadata, messages.ModelInfo):
    """A served model, with what can be computed from its metadata."""


class InferenceError(BaseModel):
    """The reason why a request was refused, as the Open Inference Protocol has it. It never repeats the input."""

    model_config = ConfigDict(frozen=True)

    error: str


class TimeSeriesError(BaseModel):
    """The reason why a request was refused, as KServe's protocol for time series has it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    code: str
    """The status, as text."""

    message: str
    param: str
    """The place in the body, as a JSON Pointer. It is empty for the body as a whole."""

    type: str


class TimeSeriesProblem(BaseModel):
    """The body of such a refusal."""

    model_config = ConfigDict(frozen=True)

    error: TimeSeriesError


def limited(max_sequence: int, max_steps: int) -> tuple[type[PredictRequest], type[GenerateRequest]]:
    """Return the two requests with the limits of a server, for validation and for the OpenAPI document."""
    sequence: Any = Annotated[list[Value], FailFast(), Field(max_length=max_sequence)]
    steps: Any = Annotated[int, Field(le=max_steps)]
    return _narrowed(PredictRequest, sequence=sequence), _narrowed(GenerateRequest, sequence=sequence, steps=steps)


def limited_forecast(max_series: int, max_sequence: int, max_steps: int) -> type[ForecastRequest]:
    """Return the request for forecasts of many series, with the limits of a server."""
    y: Any = Annotated[list[Value], FailFast(), Field(max_length=max_sequence)]
    series: Any = Annotated[list[_narrowed(Series, y=y)], Field(max_length=max_series)]  # type: ignore[misc]
    horizon: Any = Annotated[int, Field(le=max_steps)]
    narrowed: type[ForecastRequest] = _narrowed(ForecastRequest, series=series, horizon=horizon)
    return narrowed


Request = TypeVar("Request", bound=BaseModel)


def limited_time_series(request: type[Request], max_series: int, max_sequence: int, max_steps: int) -> type[Request]:
    """Return the request of KServe's protocol for time series, with the limits of a server."""
    of_input, of_options = (request.model_fields[name].annotation for name in ("inputs", "options"))
    (each,) = get_args(of_input)
    values: Any = Annotated[list[Value], FailFast(), Field(max_length=max_sequence)]
    inputs: Any = Annotated[list[_narrowed(each, series=values)], Field(max_length=max_series)]  # type: ignore[misc]
    options = _narrowed(of_options, horizon=Annotated[int, Field(le=max_steps)])  # type: ignore[arg-type]
    narrowed: type[Request] = _narrowed(request, inputs=inputs, options=options)
    return narrowed


def _narrowed(model: type[BaseModel], **types: Any) -> Any:
    """Return `model` with narrower types of some fields. Everything else of these fields stays."""
    fields: Any = {name: (narrower, model.model_fields[name]) for name, narrower in types.items()}
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields)
