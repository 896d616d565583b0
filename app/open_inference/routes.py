"""The Open Inference Protocol, version 2, below /v2: health, metadata, inference and statistics.

What inference does is in `app/open_inference/inference.py`, and tensors are the business of
`app/open_inference/tensors.py`.
"""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.dependencies import NOT_DRAINING, CurrentRepository
from app.api.parsing import disconnected, read_body
from app.engine.repository import ServedModel
from app.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    InvalidRequest,
    NotReady,
    Overloaded,
    UnknownModel,
    UnknownVersion,
    UnsupportedEncoding,
)
from app.open_inference.descriptions import (
    ModelConfig,
    ModelMetadata,
    ModelReady,
    RepositoryEntry,
    ServerLive,
    ServerMetadata,
    ServerReady,
    Statistics,
    TensorConfig,
    TensorMetadata,
)
from app.open_inference.inference import Inference
from app.open_inference.schemas import EXTENSIONS, INPUT, OUTPUT, VERSION, InferenceError, InferResponse
from app.open_inference.statistics import statistics_of
from app.open_inference.tensors import LENGTH_HEADER
from app.problems import UNDECLARED, declared

_PLATFORM = "pytorch_torchscript"
_ANY = -1

_BINARY, _BYTES = "application/octet-stream", {"schema": {"type": "string", "format": "binary"}}
_BODY = {"application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}}, _BINARY: _BYTES}
_HEADERS = [
    {
        "name": LENGTH_HEADER,
        "in": "header",
        "description": "Bytes of the JSON, where binary tensors follow it.",
        "schema": {"type": "integer", "minimum": 1},
    },
    {
        "name": "content-encoding",
        "in": "header",
        "description": "How the body is compressed.",
        "schema": {"type": "string", "enum": ["identity", "gzip", "deflate"]},
    },
]


def router(inference: Inference) -> APIRouter:
    """All of /v2."""
    refusals = declared(NotReady, BodyTooLarge, path="/v2") | {UNDECLARED: {"model": InferenceError}}
    routes = APIRouter(tags=["open inference protocol"], responses=refusals)
    routes.include_router(_of_server(), prefix="/v2")
    of_model = _of_model(inference)
    unknown = declared(UnknownModel, path="/v2")
    routes.include_router(of_model, prefix="/v2/models/{model}", responses=unknown)
    routes.include_router(
        of_model,
        prefix="/v2/models/{model}/versions/{version}",
        dependencies=[Depends(_named), Depends(_numbered)],  # an unknown name is said before an unknown version
        responses=unknown,
    )
    return routes


async def _named(model: str, repository: CurrentRepository) -> ServedModel:
    return repository.named(model)


async def _numbered(version: str) -> None:
    if version != VERSION:
        raise UnknownVersion(VERSION)


NamedModel = Annotated[ServedModel, Depends(_named)]


def _of_server() -> APIRouter:
    routes = APIRouter()

    @routes.get("")
    async def server_metadata(request: Request) -> ServerMetadata:
        """What this server is."""
        return ServerMetadata(name="sine-rnn-server", version=request.app.version, extensions=EXTENSIONS)

    @routes.get("/health/live")
    async def server_live() -> ServerLive:
        """200 as long as the process answers."""
        return ServerLive(live=True)

    @routes.get("/health/ready", dependencies=[NOT_DRAINING])
    async def server_ready(repository: CurrentRepository) -> ServerReady:
        """200 when the model serves."""
        return ServerReady(ready=True)

    @routes.get("/models/stats")
    async def statistics(repository: CurrentRepository) -> Statistics:
        """What requests to `infer` there were, and how long they took."""
        return _statistics(repository)

    @routes.post("/repository/index")
    async def repository_index(repository: CurrentRepository) -> list[RepositoryEntry]:
        """The models that are there."""
        return [
            RepositoryEntry(name=served.info.name, version=VERSION, state="READY", reason="") for served in repository
        ]

    return routes


def _of_model(inference: Inference) -> APIRouter:
    routes = APIRouter()

    @routes.get("")
    async def model_metadata(current: NamedModel) -> ModelMetadata:
        """The model's tensors. An input of FP64 is taken as well, and answered in FP64."""
        return ModelMetadata(
            name=current.info.name,
            versions=[VERSION],
            platform=_PLATFORM,
            inputs=[TensorMetadata(name=INPUT, datatype="FP32", shape=[_ANY, _ANY])],
            outputs=[TensorMetadata(name=OUTPUT, datatype="FP32", shape=[_ANY, _ANY])],
        )

    @routes.get("/ready", dependencies=[NOT_DRAINING])
    async def model_ready(current: NamedModel) -> ModelReady:
        """200 when the model serves."""
        return ModelReady(name=current.info.name, ready=True)

    @routes.get("/config")
    async def model_config(current: NamedModel) -> ModelConfig:
        """The model's configuration, in Triton's terms."""
        return ModelConfig(
            name=current.info.name,
            platform=_PLATFORM,
            backend="pytorch",
            max_batch_size=inference.limits.max_batch,
            input=[TensorConfig(name=INPUT, data_type="TYPE_FP32", dims=[_ANY])],
            output=[TensorConfig(name=OUTPUT, data_type="TYPE_FP32", dims=[_ANY])],
        )

    @routes.get("/stats")
    async def model_statistics(current: NamedModel) -> Statistics:
        """What requests to `infer` there were, and how long they took."""
        return _statistics([current])

    @routes.post(
        "/infer",
        response_model=InferResponse,
        responses=declared(InvalidRequest, UnsupportedEncoding, Overloaded, DeadlineExceeded, path="/v2")
        | {200: {"content": {_BINARY: _BYTES}}},
        openapi_extra={"requestBody": {"required": True, "content": _BODY}, "parameters": _HEADERS},
    )
    async def infer(request: Request, current: NamedModel) -> Response:
        """The values that follow each sequence of a batch, as JSON or as a binary tensor."""
        body = await read_body(request.receive)
        return await inference.respond(request.headers, body, current, lambda: disconnected(request.receive))

    return routes


def _statistics(models: Iterable[ServedModel]) -> Statistics:
    return Statistics(model_stats=[statistics_of(served.info.name, served.inference.totals()) for served in models])
