"""Messages about the server and its models, in the terms of the Open Inference Protocol and of Triton.

`app/open_inference/schemas.py` has the other messages: those of inference.
"""

from app.open_inference.schemas import Message


class ServerLive(Message):
    live: bool


class ServerReady(Message):
    ready: bool


class ModelReady(Message):
    name: str
    ready: bool


class ServerMetadata(Message):
    """The name and version of the server, and the extensions of the protocol that it has."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Message):
    name: str
    datatype: str
    shape: list[int]
    """-1 for a size that may vary. The first size is the batch."""


class ModelMetadata(Message):
    """The model's name and tensors."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfig(Message):
    name: str
    data_type: str
    dims: list[int]
    """The sizes without the batch."""


class ModelConfig(Message):
    """The model's configuration in Triton's terms, as far as they apply."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[TensorConfig]
    output: list[TensorConfig]


class Duration(Message):
    count: int
    ns: int
    """Nanoseconds of all that are counted together."""


class InferenceStatistics(Message):
    """Counts and total durations since the start."""

    success: Duration
    fail: Duration
    queue: Duration
    """Its time is zero: the time of waiting is in `compute_infer`."""

    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStatistics(Message):
    name: str
    version: str
    inference_count: int
    """The number of sequences that were continued. Each row of a batch counts."""

    execution_count: int
    """The number of requests that were answered. A batch counts as one."""

    inference_stats: InferenceStatistics


class Statistics(Message):
    """Statistics of the requests to `infer`, over all workers."""

    model_stats: list[ModelStatistics]


class RepositoryEntry(Message):
    """A model in service."""

    name: str
    version: str
    state: str
    reason: str
