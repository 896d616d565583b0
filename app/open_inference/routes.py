"""The Open Inference Protocol, version 2, below /v2: health, metadata, inference and statistics.

`app/open_inference/inference.py` does the inference, and `app/open_inference/tensors.py` reads and writes the tensors.
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app import errors
from app.api.dependencies import NOT_DRAINING, CurrentRepository, CurrentService
from app.api.openapi import UNDECLARED, declared
from app.api.parsing import JSON, disconnected, invalid, read_body
from app.engine.repository import ServedModel
from app.open_inference import descriptions
from app.open_inference.compression import CODINGS
from app.open_inference.inference import inference
from app.open_inference.schemas import BINARY, EXTENSIONS, INPUT, OUTPUT, VERSION, InferResponse
from app.open_inference.statistics import statistics_of
from app.open_inference.tensors import LENGTH_HEADER

_PLATFORM = "pytorch_torchscript"
_ANY = -1

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_BODY = {JSON: {"schema": {"$ref": "#/components/schemas/InferRequest"}}, BINARY: _BYTES}


def _header(name: str, description: str, **schema: object) -> dict[str, object]:
    return {"name": name, "in": "header", "description": description, "schema": schema}


_HEADERS = [
    _header(LENGTH_HEADER, "The size of the JSON in bytes, if binary tensors follow it.", type="integer", minimum=1),
    _header("content-encoding", "The compression of the body.", type="string", enum=["identity", *CODINGS]),
]

_declared = partial(declared, path="/v2")
_READINESS = _declared(errors.NotReady(errors.NotReady.DRAINING))
_NEEDS_NO_MODEL = _declared(errors.Exhausted)
_INFERENCE = _declared(
    invalid("/inputs/0/shape", "field required"),
    errors.Diverged.in_row(0, steps=1),
    errors.UnsupportedEncoding(CODINGS),
    errors.NotReady,
    errors.Exhausted,
    errors.Overloaded,
    errors.DeadlineExceeded,
)

_server, _model = APIRouter(prefix="/v2"), APIRouter()


async def _named(model: str, repository: CurrentRepository) -> ServedModel:
    return repository.named(model)


async def _numbered(version: str) -> None:
    if version != VERSION:
        raise errors.UnknownVersion(VERSION)


NamedModel = Annotated[ServedModel, Depends(_named)]


@_server.get("", summary="Describe the server.", responses=_NEEDS_NO_MODEL)
async def server_metadata(request: Request) -> descriptions.ServerMetadata:
    """The answer holds the server's name, its version, and the protocol's extensions that it offers."""
    return descriptions.ServerMetadata(name="sine-rnn-server", version=request.app.version, extensions=EXTENSIONS)


@_server.get("/health/live", summary="Check that the process is alive.", responses=_NEEDS_NO_MODEL)
async def server_live() -> descriptions.ServerLive:
    """The answer is 200 as long as the process answers at all."""
    return descriptions.ServerLive(live=True)


@_server.get(
    "/health/ready",
    summary="Check that the server accepts requests.",
    dependencies=[NOT_DRAINING],
    responses=_READINESS,
)
async def server_ready(repository: CurrentRepository) -> descriptions.ServerReady:
    """The answer is 200 when every model is loaded, and 503 when the service is stopping."""
    return descriptions.ServerReady(ready=True)


@_server.get("/models/stats", summary="Read the inference statistics of all models.")
async def statistics(repository: CurrentRepository) -> descriptions.Statistics:
    """The answer counts the requests to `infer` of each model, and says how long they took."""
    return statistics_of(repository)


@_server.post(
    "/repository/index", summary="List the served models.", responses=_declared(errors.NotReady, errors.Overloaded)
)
async def repository_index(repository: CurrentRepository) -> list[descriptions.RepositoryEntry]:
    """The answer names each model and its version. Every model in the list is ready."""
    entry = partial(descriptions.RepositoryEntry, version=VERSION, state="READY", reason="")
    return [entry(name=served.info.name) for served in repository]


@_model.get("", summary="Describe the tensors of a model.")
async def model_metadata(current: NamedModel) -> descriptions.ModelMetadata:
    """The answer holds the names, datatypes and shapes of the model's tensors. The model also accepts an input of
    FP64, and then answers in FP64."""
    return descriptions.ModelMetadata(
        name=current.info.name,
        versions=[VERSION],
        platform=_PLATFORM,
        inputs=[descriptions.TensorMetadata(name=INPUT, datatype="FP32", shape=[_ANY, _ANY])],
        outputs=[descriptions.TensorMetadata(name=OUTPUT, datatype="FP32", shape=[_ANY, _ANY])],
    )


@_model.get("/ready", summary="Check that a model accepts requests.", dependencies=[NOT_DRAINING], responses=_READINESS)
async def model_ready(current: NamedModel) -> descriptions.ModelReady:
    """The answer is 200 when the model is loaded, and 503 when the service is stopping."""
    return descriptions.ModelReady(name=current.info.name, ready=True)


@_model.get("/config", summary="Read the configuration of a model.")
async def model_config(service: CurrentService, current: NamedModel) -> descriptions.ModelConfig:
    """The answer holds the fields of Triton's model configuration that apply here."""
    return descriptions.ModelConfig(
        name=current.info.name,
        platform=_PLATFORM,
        backend="pytorch",
        max_batch_size=service.settings.max_batch,
        input=[descriptions.TensorConfig(name=INPUT, data_type="TYPE_FP32", dims=[_ANY])],
        output=[descriptions.TensorConfig(name=OUTPUT, data_type="TYPE_FP32", dims=[_ANY])],
    )


@_model.get("/stats", summary="Read the inference statistics of a model.")
async def model_statistics(current: NamedModel) -> descriptions.Statistics:
    """The answer counts the requests to `infer` of this model, and says how long they took."""
    return statistics_of([current])


@_model.post(
    "/infer",
    summary="Generate the next values of a batch of sequences.",
    response_model=InferResponse,
    responses=_INFERENCE | {200: {"content": {BINARY: _BYTES}}},
    openapi_extra={"requestBody": {"required": True, "content": _BODY}, "parameters": _HEADERS},
)
async def infer(request: Request, service: CurrentService, current: NamedModel) -> Response:
    """The answer holds the values that follow each sequence, as JSON or as a binary tensor."""
    body = await read_body(request.receive)
    endpoint = inference(service.settings)
    return await endpoint.respond(request.headers, body, current, lambda: disconnected(request.receive))


routes = APIRouter(
    tags=["open inference protocol"], responses=_declared(errors.NotReady, errors.BodyTooLarge) | UNDECLARED
)
routes.include_router(_server)
routes.include_router(_model, prefix="/v2/models/{model}", responses=_declared(errors.UnknownModel))
routes.include_router(
    _model,
    prefix="/v2/models/{model}/versions/{version}",
    dependencies=[Depends(_named), Depends(_numbered)],  # an unknown name is refused before an unknown version
    responses=_declared(errors.UnknownModel, errors.UnknownVersion),
)
