"""Loading of artifacts: all of them at the start, and the changed ones on a reload."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import torch

from app.engine.forecaster import Forecaster
from app.engine.quotas import quota
from app.engine.repository import Repository, ServedModel
from app.keys import file_version
from app.schemas import ModelInfo
from app.settings import Settings
from app.shared_memory.numbering import TooManyNames
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import forecast_span
from model import DEFAULT_ARTIFACT
from model.artifact import Artifact, ArtifactError, ArtifactMissing, read_artifact
from model.digest import digest_path
from model.runtime.select import DeviceUnavailable, open_runtime
from sine_client.messages import Example

log = logging.getLogger(__name__)

UNUSABLE = (ArtifactError, DeviceUnavailable, TooManyNames)
"""The errors of an artifact that cannot be served. Their messages are for the operator. Any other error is a fault."""


def load(
    settings: Settings, metrics: Metrics, before: Iterable[ServedModel] = (), refused: list[str] | None = None
) -> Repository:
    """Verify, load and warm up the artifacts that are new or changed since `before`.

    `refused` gets the reason, a sentence, for each artifact that cannot be loaded; the model of its file stays. Without
    that list, the first such artifact raises its error.

    Raises:
        ArtifactError: an artifact cannot be trusted or does not do what it says, or two have one name, or they are more
            than `max_models`.
        DeviceUnavailable: the device that was asked for is not there.
        TooManyNames: with those that have gone, there were more names than `max_models`.
    """
    # A step of a small network takes far less time than handing it to another thread does. And the threads of all
    # workers would compete for the same cores.
    torch.set_num_threads(1)
    digests = settings.model_sha256.split(",") if settings.model_sha256 else None
    current = {served.path: served for served in before}
    after = []
    for path, file in _files(settings).items():
        served = current.get(path)
        try:
            if os.path.exists(file) and not os.path.isfile(file):  # reading a pipe would never end
                raise ArtifactMissing(f"{file}: an artifact is a file, and this is none")
            artifact = read_artifact(file, digests)
            if served is None or served.info.digest != artifact.digest:
                served = _opened(artifact, path, settings, metrics)
        except Exception as error:
            if refused is None:
                if str(path) not in str(error):
                    error.add_note(f"while loading {path}")
                raise
            refused.append(_why(error, path))
        if served is not None:
            after.append(served)
    return Repository(after)


def files_on_disk(settings: Settings) -> object:
    """Return a value that differs after any file of the artifacts has been replaced, added or removed.

    It is made from what the file system says of the files, behind all symbolic links, without reading them.
    """
    try:
        files = _files(settings)
    except ArtifactError as error:
        return str(error)
    return [(path, file, file_version(file), file_version(digest_path(file))) for path, file in files.items()]


def _files(settings: Settings) -> dict[Path, Path]:
    """Return the file of each artifact to serve, by its path in the settings, the default first.

    Where `SINE_MODEL` is a folder, the file is the artifact in it. A default that is also in the folder of models is
    listed once. The default settings serve all that ship.

    Raises:
        ArtifactError: a folder cannot be read, has too many artifacts, or is `SINE_MODEL` and does not have one.
    """
    default = settings.model
    if os.path.isdir(default):  # Path.is_dir would raise where a folder above cannot be read
        inside = _artifacts_in(default)
        if len(inside) != 1:
            has = f"these: {', '.join(path.name for path in inside)}" if inside else "none"
            raise ArtifactMissing(
                f"{default}: a folder as SINE_MODEL has to hold one artifact (*.pt), and it holds {has}; "
                "SINE_MODELS serves all artifacts of a folder"
            )
        (default,) = inside
    folder = settings.models or (DEFAULT_ARTIFACT.parent if settings.model == DEFAULT_ARTIFACT else None)
    if folder is None:
        return {settings.model: default}
    others = [path for path in _artifacts_in(folder) if path.resolve() != default.resolve()]
    if len(others) >= settings.max_models:
        raise ArtifactError(
            f"{folder}: {len(others) + 1} models, with that of SINE_MODEL, are more than the {settings.max_models} "
            "that SINE_MAX_MODELS allows: start with a larger SINE_MAX_MODELS, or with fewer files"
        )
    return {settings.model: default, **{path: path for path in others}}


def _artifacts_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".pt")
    except OSError as error:
        raise ArtifactMissing(f"{folder}: the folder of the models cannot be read: {error.strerror}") from error


def _opened(artifact: Artifact, path: Path, settings: Settings, metrics: Metrics) -> ServedModel:
    """Open an artifact as a model that has reproduced its golden rollouts and is warm."""
    opened = open_runtime(artifact, settings.device, settings.engine)
    example = artifact.golden.example
    info = ModelInfo(
        **artifact.metadata.model_dump(),
        digest=artifact.digest,
        runtime=opened.runtime.name,
        runtime_reason=opened.reason,
        device=opened.runtime.device,
        example=Example(sequence=example.sequence, season=example.season),
    )
    # before the forecaster, which starts a thread
    inference, misfits = metrics.inference_of(info.name), metrics.misfits_of(info.name)
    charge = None if settings.steps_per_second is None else quota(settings).charge_request
    forecaster = Forecaster(opened.runtime, settings, metrics, charge, forecast_span if settings.tracing else None)
    alias = settings.model_name if path == settings.model else None
    return ServedModel(path, info, forecaster, artifact.intervals, inference, misfits, alias)


def _why(error: Exception, path: Path) -> str:
    if not isinstance(error, UNUSABLE):
        log.error("%s cannot be loaded", path, exc_info=error)
        return f"{path}: loading it failed: {type(error).__name__}"
    return str(error) if str(path) in str(error) else f"{path}: {error}"
