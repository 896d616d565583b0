"""The wire contract of the server's descriptions of itself and its models, by the Open Inference Protocol and Triton.

The contract of inference is in `app/open_inference/schemas.py`.
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
    """The server, and its extensions of the protocol's core."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Message):
    name: str
    datatype: str
    shape: list[int]
    """The batch is the first dimension. -1 stands for a size that may vary."""


class ModelMetadata(Message):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfig(Message):
    name: str
    data_type: str
    dims: list[int]
    """The shape without the batch."""


class ModelConfig(Message):
    """The fields of Triton's model configuration that apply here."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[TensorConfig]
    output: list[TensorConfig]


class Duration(Message):
    count: int
    ns: int
    """The total time in nanoseconds."""


class InferenceStatistics(Message):
    """The number of times that each step was done since the start, and the total time it took."""

    success: Duration
    fail: Duration
    queue: Duration
    """Always without time: `compute_infer` includes the time spent waiting."""

    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStatistics(Message):
    name: str
    version: str
    inference_count: int
    """The number of sequences answered. Each row of a batch counts."""

    execution_count: int
    """The number of requests answered. A batch counts as one."""

    inference_stats: InferenceStatistics


class Statistics(Message):
    """The statistics of the requests to `infer`, over all workers."""

    model_stats: list[ModelStatistics]


class RepositoryEntry(Message):
    name: str
    version: str
    state: str
    reason: str
