"""The wire contract, and nothing else: what clients send and what they get.

It needs neither torch nor the service's own state, so that a client can share it.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, create_model

from model.intervals import LEVELS
from model.metadata import Metadata

LARGEST_VALUE = 1e6
"""The largest magnitude of a value in a sequence, in the caller's units."""

Value = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST_VALUE, le=LARGEST_VALUE)]

Level = Annotated[int, Field(strict=True, ge=1, le=LEVELS)]

FinishReason = Literal["length", "diverged"]

_SINE = [0.0, 0.3090, 0.5878, 0.8090, 0.9511, 1.0, 0.9511, 0.8090, 0.5878, 0.3090]
_EXAMPLE = [*_SINE, *(0.0 - value for value in _SINE), *_SINE]
"""A period and a half of a sine of 20 samples a period."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PredictRequest(_Message):
    """Values observed so far."""

    sequence: Annotated[list[Value], FailFast()] = Field(min_length=1, examples=[_EXAMPLE])
    """The values so far, oldest first, evenly spaced in time, in any unit. With `state`, those that came since."""

    state: str | None = Field(default=None, strict=True, examples=[None])
    """A state token of an earlier answer, to go on from there; its scale stays."""

    return_state: bool = Field(default=False, strict=True, examples=[False])
    """Also answer with a state token to go on from."""

    timeout_s: float | None = Field(default=None, strict=True, allow_inf_nan=False, gt=0, examples=[5])
    """Give up after this many seconds, if the service does not sooner."""

    level: list[Level] | None = Field(default=None, min_length=1, max_length=99, examples=[[80, 95]])
    """Also answer with prediction intervals of these levels, in per cent."""

    model: str | None = Field(default=None, strict=True, examples=[None])
    """The name of the model to ask, where several are served (`GET /models`); the default, unless given."""


class GenerateRequest(PredictRequest):
    """Values observed so far, and how many to continue them by."""

    sequence: Annotated[list[Value], FailFast()] = Field(examples=[_EXAMPLE])
    """The values so far, oldest first, evenly spaced in time, in any unit: at least one. With `state`, those that came
    since, which may be none."""

    steps: int = Field(strict=True, ge=1, examples=[20])
    """How many values to generate."""


class _Response(_Message):
    intervals: dict[str, list[float]] | None = Field(
        default=None, examples=[{"lo-95": [0.5861], "lo-80": [0.5870], "hi-80": [0.5886], "hi-95": [0.5895]}]
    )
    """Only where `level` was given: the lower and upper ends of each level's interval, one for each value, in the unit
    of the sequence. Each holds the truth as often as its level says on sequences like those of `GET /model`."""

    state: str | None = None
    """Only where `return_state` was given: what the model remembers, as an opaque token. From `/predict` it is of the
    values that were observed, from `/generate` of the rollout too; none where that is not finite."""


class PredictResponse(_Response):
    """The value that follows."""

    prediction: float = Field(examples=[0.5878])
    """The next value, in the unit of the sequence."""


class GenerateResponse(_Response):
    """The values that follow."""

    values: list[float] = Field(examples=[[0.5878, 0.8090, 0.9511]])
    """The next values, in the unit of the sequence. The first is what `/predict` answers."""

    finish_reason: FinishReason
    """`length`: all steps are there. `diverged`: the rollout stopped being finite, and ends before that."""


class StreamedValues(_Message):
    """The data of an event `values` of `/generate/stream`: the next part of the rollout."""

    values: list[float]
    intervals: dict[str, list[float]] | None = None


class StreamEnd(_Message):
    """The data of the event `done`, the last one. In its place, `error` holds a problem."""

    finish_reason: FinishReason
    state: str | None = None


class ModelInfo(Metadata):
    """The model that is being served."""

    digest: str
    """sha256 of the artifact, hexadecimal."""

    runtime: str
    """What executes the model."""

    runtime_reason: str
    """Why it is this runtime; where the fast one could not be had, what prevented it."""

    device: str
    """Where it is executed."""


class ModelList(_Message):
    """The models that are being served."""

    default: str
    """The name of the one that answers requests which name none."""

    models: list[ModelInfo]
    """All of them, the default first."""


class Health(_Message):
    """The status code is the answer; this is for people."""

    status: str


class FieldError(_Message):
    """One thing that is wrong with a request."""

    pointer: str = Field(examples=["/sequence/2"])
    """Where in the body, as a JSON Pointer (RFC 6901); empty for the body as a whole."""

    detail: str = Field(examples=["input should be a valid number"])
    """What is allowed there."""


class ProblemDetails(_Message):
    """Why a request was refused (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Unprocessable Content"])
    """The meaning of the status code."""

    status: int = Field(examples=[422])
    detail: str = Field(examples=["/sequence/2: input should be a valid number"])
    """What was wrong and what is allowed. It never repeats what was sent."""

    errors: list[FieldError] | None = None
    """For 422: each thing that is wrong."""


class InferenceError(BaseModel):
    """The reason why a request was refused, as the Open Inference Protocol has it. It never repeats the input."""

    model_config = ConfigDict(frozen=True)

    error: str


def limited(max_sequence: int, max_steps: int) -> tuple[type[PredictRequest], type[GenerateRequest]]:
    """The two requests with a server's own limits, which validation and the OpenAPI document then both know."""
    sequence: Any = Annotated[list[Value], FailFast(), Field(max_length=max_sequence)]
    steps: Any = Annotated[int, Field(le=max_steps)]
    fields = GenerateRequest.model_fields
    return (
        create_model(
            "PredictRequest",
            __base__=PredictRequest,
            __doc__=PredictRequest.__doc__,
            sequence=(sequence, PredictRequest.model_fields["sequence"]),
        ),
        create_model(
            "GenerateRequest",
            __base__=GenerateRequest,
            __doc__=GenerateRequest.__doc__,
            sequence=(sequence, fields["sequence"]),
            steps=(steps, fields["steps"]),
        ),
    )
