"""The wire contract of inference in the Open Inference Protocol, version 2, with some of Triton's extensions.

The descriptions of the server and its models are in `app/open_inference/descriptions.py`.
https://github.com/open-inference/open-inference-protocol has the protocol, and Triton's documentation the extensions.

The protocol requires that a server ignores unknown fields of a request. This one refuses those that would change the
meaning of the answer. Null stands for an optional field that is absent, everywhere in a request.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from model.season import LONGEST_SEASON

Datatype = Literal["FP32", "FP64"]

INPUT, OUTPUT = "sequence", "values"

BINARY = "application/octet-stream"

VERSION = "1"
"""The protocol's version of a model: the number among the versions in a repository, which has only one here. Triton and
load generators require an integer, which the artifact's version ("0.2.0", at `GET /model`) is not."""

EXTENSIONS = ["binary_tensor_data", "model_configuration", "statistics", "model_repository"]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class _NoOthers(Message):
    """A message that keeps unknown fields, so that they can be refused."""

    model_config = ConfigDict(extra="allow")

    @property
    def others(self) -> list[str]:
        """Return the names of the unknown fields that are not null."""
        extra = self.model_extra
        return [name for name, value in extra.items() if value is not None] if extra else []


class InferParameters(_NoOthers):
    """The parameters of a request."""

    steps: int | None = Field(default=1, strict=True, ge=1, examples=[8])
    """The number of values to generate for each sequence."""

    timeout: int | None = Field(default=0, strict=True, ge=0, lt=2**63, examples=[5_000_000])
    """Cancel the request after this many microseconds; never for 0. The service's own limit may be shorter."""

    season: int | None = Field(default=None, strict=True, ge=1, le=LONGEST_SEASON, examples=[None])
    """The number of values after which each sequence repeats, 1 for none. Without it, the season of each is found. Only
    a model with anchors uses it."""

    priority: int | None = Field(default=0, strict=True, ge=0)
    """Accepted and ignored: all requests have the same priority."""

    binary_data_output: bool | None = Field(default=False, strict=True)
    """Answer with binary tensors, unless the output's own parameter differs."""


class InputParameters(Message):
    binary_data_size: int | None = Field(default=None, strict=True, ge=0)
    """The size of the tensor in bytes, if it follows the JSON and is not in `data`."""


class InferInput(Message):
    """The values so far of each sequence, oldest first."""

    name: Literal["sequence"]
    shape: list[Annotated[int, Field(strict=True, ge=1)]] = Field(min_length=2, max_length=3, examples=[[1, 4]])
    """[batch, time] or [batch, time, 1]."""

    datatype: Datatype
    data: list[Any] | None = Field(default=None, examples=[[0.0, 0.5, 0.86, 1.0]])
    """The values in row-major order, flat or nested like the shape."""

    parameters: InputParameters | None = None


class OutputParameters(_NoOthers):
    binary_data: bool | None = Field(default=None, strict=True)


class InferRequestedOutput(Message):
    name: Literal["values"]
    parameters: OutputParameters | None = None


class InferRequest(Message):
    """A batch of sequences. Binary tensors follow the JSON."""

    id: str | None = None
    """The answer repeats it."""

    parameters: InferParameters | None = None
    inputs: list[InferInput] = Field(min_length=1, max_length=1)
    outputs: list[InferRequestedOutput] | None = Field(default=None, max_length=1)
    """The requested outputs. Without them, the answer holds all outputs."""


class InferOutput(Message):
    """The next values of each sequence."""

    name: Literal["values"]
    datatype: Datatype
    """The datatype of the input."""

    shape: list[int] = Field(examples=[[1, 2]])
    """[batch, steps]."""

    parameters: dict[str, int] | None = Field(default=None, examples=[None])
    """`binary_data_size`: the size of the tensor in bytes, if it follows the JSON and is not in `data`."""

    data: list[float] | None = Field(default=None, examples=[[0.87, 0.51]])


class ResponseParameters(Message):
    """The parameters of an answer. They are absent where there is nothing to say."""

    warnings: str | None = Field(default=None, examples=[None])
    """Only if there are any: the reasons to mistrust the forecasts, each with the row of its sequence, from 0. Such as
    `0: the sequence is not of the kind …; 3: …`"""


class InferResponse(Message):
    model_name: str
    model_version: str
    id: str | None = None
    parameters: ResponseParameters | None = Field(default=None, examples=[None])
    outputs: list[InferOutput]
