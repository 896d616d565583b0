"""The messages of inference in the Open Inference Protocol, version 2, with Triton's extensions that are supported.

`app/open_inference/descriptions.py` has the messages about the server and its models.

https://github.com/open-inference/open-inference-protocol has the protocol, and Triton's documentation the extensions.
As the protocol requires, other fields of a request are ignored. They are refused where ignoring them would change the
meaning of the answer.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Datatype = Literal["FP32", "FP64"]

INPUT, OUTPUT = "sequence", "values"

BINARY = "application/octet-stream"

VERSION = "1"
"""The model's version in the sense of the protocol: one of those in a repository, which has only one here. To Triton
and to load generators it is an integer. `GET /model` has the version of the artifact ("0.2.0"), which is not one."""

EXTENSIONS = ["binary_tensor_data", "model_configuration", "statistics", "model_repository"]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class _NoOthers(Message):
    """A message whose other fields are kept, so that they can be refused."""

    model_config = ConfigDict(extra="allow")


class InferParameters(_NoOthers):
    """Parameters of the forecast."""

    steps: int = Field(default=1, strict=True, ge=1, examples=[8])
    """The number of values to generate for each sequence."""

    timeout: int = Field(default=0, strict=True, ge=0, lt=2**63, examples=[5_000_000])
    """Give up after this many microseconds, if the service does not sooner. 0 sets no limit of its own."""

    priority: int = Field(default=0, strict=True, ge=0)
    """Accepted and ignored: all requests have the same priority."""

    binary_data_output: bool = Field(default=False, strict=True)
    """Whether to answer with binary tensors, unless an output says otherwise."""


class InputParameters(Message):
    """Parameters of an input."""

    binary_data_size: int | None = Field(default=None, strict=True, ge=0)
    """The size of the tensor in bytes, if it follows the JSON and is not in `data`."""


class InferInput(Message):
    """The values of each sequence so far, oldest first."""

    name: Literal["sequence"]
    shape: list[Annotated[int, Field(strict=True, ge=1)]] = Field(min_length=2, max_length=3, examples=[[1, 4]])
    """The shape is [batch, time] or [batch, time, 1]."""

    datatype: Datatype
    data: list[Any] | None = Field(default=None, examples=[[0.0, 0.5, 0.86, 1.0]])
    """The values in row-major order, flat or nested like the shape."""

    parameters: InputParameters = InputParameters()


class OutputParameters(_NoOthers):
    """Parameters of an output."""

    binary_data: bool | None = Field(default=None, strict=True)


class InferRequestedOutput(Message):
    """The only output."""

    name: Literal["values"]
    parameters: OutputParameters = OutputParameters()


class InferRequest(Message):
    """Sequences to continue. Binary tensors follow it."""

    id: str | None = None
    """The answer has the same id."""

    parameters: InferParameters = InferParameters()
    inputs: list[InferInput] = Field(min_length=1, max_length=1)
    outputs: list[InferRequestedOutput] | None = Field(default=None, max_length=1)
    """The outputs that are wanted. By default all of them."""


class InferOutput(Message):
    """The next values of each sequence."""

    name: Literal["values"]
    datatype: Datatype
    """The datatype of the input."""

    shape: list[int] = Field(examples=[[1, 2]])
    """The shape is [batch, steps]."""

    parameters: dict[str, int] | None = Field(default=None, examples=[None])
    """`binary_data_size` is the size of the tensor in bytes, if it follows the JSON and is not in `data`."""

    data: list[float] | None = Field(default=None, examples=[[0.87, 0.51]])


class InferResponse(Message):
    """The answer to an `InferRequest`."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferOutput]
