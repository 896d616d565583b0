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
    """What the server is, and what it can do beyond the protocol's core."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Message):
    name: str
    datatype: str
    shape: list[int]
    """-1 for what may vary; the first is the batch."""


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
    """Without the batch."""


class ModelConfig(Message):
    """What Triton calls the model's configuration, as far as it applies."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[TensorConfig]
    output: list[TensorConfig]


class Duration(Message):
    count: int
    ns: int
    """Nanoseconds, over all that are counted."""


class InferenceStatistics(Message):
    """How often something was done since the start, and how long it took in all."""

    success: Duration
    fail: Duration
    queue: Duration
    """No time: what is spent waiting is in `compute_infer`."""

    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStatistics(Message):
    name: str
    version: str
    inference_count: int
    """Sequences continued, each row of a batch by itself."""

    execution_count: int
    """Requests answered, whatever their batch."""

    inference_stats: InferenceStatistics


class Statistics(Message):
    """Of the requests to `infer`, over all workers."""

    model_stats: list[ModelStatistics]


class RepositoryEntry(Message):
    """A model that is there."""

    name: str
    version: str
    state: str
    reason: str
