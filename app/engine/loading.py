"""From artifacts on disk to models in service: all of them at the start, and what has changed on a reload."""

import logging
from pathlib import Path
from typing import NamedTuple

import torch

from app.engine.admission import Limits
from app.engine.forecaster import Forecaster
from app.engine.quotas import quota
from app.engine.repository import Repository, SameName, ServedModel, version_header
from app.schemas import ModelInfo
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import forecast_span
from model.artifact import Artifact, ArtifactError, ArtifactMissing, read_artifact
from model.runtime.select import DeviceUnavailable, open_runtime

log = logging.getLogger(__name__)


def load(settings: Settings, metrics: Metrics) -> Repository:
    """Verify, load and warm up all models.

    Raises:
        ArtifactError: an artifact cannot be trusted or does not do what it says, or two have one name.
        DeviceUnavailable: the device that was asked for is not there.
    """
    # A step of a small network is far shorter than handing it to another thread, and the threads of all workers would
    # fight for the same cores.
    torch.set_num_threads(1)
    served = []
    for path in artifact_paths(settings):
        try:
            served.append(_opened(_read(path, settings), path, settings, metrics))
        except Exception as error:
            error.add_note(f"while loading {path}")
            raise
    return Repository(served)


class Reloaded(NamedTuple):
    """What a look at the artifacts has come to."""

    models: Repository
    """Those before, where nothing has changed."""

    refused: list[str]
    """Why some have not been replaced, or not been added: a sentence for each."""


def load_changes(settings: Settings, metrics: Metrics, before: Repository) -> Reloaded:
    """What is to be served in place of `before`. Whatever is wrong with a file, its model stays as it was."""
    current = {served.path: served for served in before}
    after, refused = [], []
    try:
        for path in artifact_paths(settings):
            served = current.get(path)
            try:
                artifact = _read(path, settings)
                if served is None or served.info.digest != artifact.digest:
                    served = _opened(artifact, path, settings, metrics)
            except Exception as error:
                refused.append(_why(error, path))
            if served is not None:
                after.append(served)
        unchanged = after == list(before)
        return Reloaded(before if unchanged else Repository(after), refused)
    except (SameName, ArtifactMissing) as error:  # then nothing is right
        return Reloaded(before, [*refused, str(error)])


def artifact_paths(settings: Settings) -> list[Path]:
    """Those to serve, the default first. A default that is in the folder of the others is not there twice.

    Raises:
        ArtifactMissing: the folder cannot be read.
    """
    if settings.models is None:
        return [settings.model]
    try:
        found = sorted(path for path in settings.models.iterdir() if path.suffix == ".pt")
    except OSError as error:
        raise ArtifactMissing(f"{settings.models}: the folder of the models cannot be read: {error}") from error
    default = settings.model.resolve()
    return [settings.model, *(path for path in found if path.resolve() != default)]


def _read(path: Path, settings: Settings) -> Artifact:
    """An artifact, which has to be one of those that the settings pin."""
    return read_artifact(path, settings.model_sha256.split(",") if settings.model_sha256 else None)


def _opened(artifact: Artifact, path: Path, settings: Settings, metrics: Metrics) -> ServedModel:
    """A model that has reproduced its golden rollouts and is warm: its price has been measured."""
    opened = open_runtime(artifact, settings.device, settings.engine)
    info = ModelInfo(
        **artifact.metadata.model_dump(),
        digest=artifact.digest,
        runtime=opened.runtime.name,
        runtime_reason=opened.reason,
        device=opened.runtime.device,
    )
    limits = Limits(max_pending_s=settings.max_pending_s, timeout_s=settings.timeout_s)
    charge = None if settings.steps_per_second is None else quota(settings).charge_request
    span = forecast_span if settings.tracing else None
    forecaster = Forecaster(opened.runtime, limits, metrics, charge, span)
    return ServedModel(
        path, info, forecaster, artifact.intervals, metrics.inference_of(info.name), version_header(info)
    )


def _why(error: Exception, path: Path) -> str:
    if not isinstance(error, ArtifactError | DeviceUnavailable):
        log.error("%s cannot be loaded", path, exc_info=error)
        return f"{path}: loading it failed: {type(error).__name__}"
    return str(error) if str(path) in str(error) else f"{path}: {error}"
