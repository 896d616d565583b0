"""`open_runtime` chooses the runtime of an artifact, and checks it against the artifact's golden rollouts."""

import logging
from dataclasses import dataclass
from typing import Literal

import torch

from model.artifact import Artifact, load_module, other_torch
from model.metadata import Metadata
from model.runtime.anchored import AnchoredRuntime
from model.runtime.base import Runtime
from model.runtime.check import GoldenMismatch, check_golden
from model.runtime.ensemble import EnsembleRuntime
from model.runtime.fused import FusedRuntime
from model.runtime.torchscript import ScriptedAnchoredRuntime, ScriptedRuntime

Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["auto", "fused", "torchscript"]

log = logging.getLogger(__name__)


class DeviceUnavailable(Exception):
    """The device or the runtime that was asked for is not available on this machine."""


@dataclass(frozen=True)
class Opened:
    """A runtime that has reproduced the golden rollouts."""

    runtime: Runtime
    reason: str
    """Reason for the choice, for logs and `GET /model`."""


def open_runtime(artifact: Artifact, device: Device = "auto", engine: Engine = "auto") -> Opened:
    """Return the runtime for an artifact, checked against its golden rollouts.

    `auto` takes CUDA where there is one, and the fused kernel where it compiles.

    Raises:
        DeviceUnavailable: `cuda` or `fused` was asked for and is not available.
        ArtifactError: torch cannot load the artifact, or the runtime does not reproduce its golden rollouts.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailable("device cuda was asked for, but torch finds no CUDA device; use cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    opened = _open(artifact, torch.device(device), engine)
    exported_again = other_torch(artifact.metadata)
    try:
        check_golden(opened.runtime, artifact.golden)
    except GoldenMismatch as error:
        raise GoldenMismatch(str(error).removesuffix(".") + exported_again) from error
    if exported_again:
        log.warning("%s reproduces its golden rollouts%s", artifact.metadata.name, exported_again)
    return opened


def _open(artifact: Artifact, device: torch.device, engine: Engine) -> Opened:
    module, metadata = load_module(artifact, device), artifact.metadata
    anchored = metadata.architecture.inputs == "anchors"
    scripted = (ScriptedAnchoredRuntime if anchored else ScriptedRuntime)(module, metadata, device)
    if engine == "torchscript":
        return Opened(scripted, "it was asked for")
    try:
        return _fused(module, metadata, device)
    except Exception as error:  # a compiler may raise anything; slow beats not at all, but never in silence
        reason = f"the fused kernel failed to compile: {type(error).__name__}: {error}"
        if engine == "fused":
            raise DeviceUnavailable(reason) from error
        log.warning("Serving with the slower TorchScript runtime: %s", reason)
        return Opened(scripted, reason)


def _fused(module: torch.jit.ScriptModule, metadata: Metadata, device: torch.device) -> Opened:
    anchored = metadata.architecture.inputs == "anchors"
    if device.type == "cuda":
        if anchored:
            raise NotImplementedError("on CUDA there is none for networks with anchors")
        from model.runtime.cuda import CudaRuntime  # imports Triton, which only builds of torch for CUDA bring

        return Opened(CudaRuntime(module, metadata, device), "the device is CUDA; the kernel was compiled by Triton")
    kind = EnsembleRuntime if metadata.architecture.members else AnchoredRuntime if anchored else FusedRuntime
    fused = kind(module, metadata)
    return Opened(fused, f"the device is a CPU; the kernel {'is from the cache' if fused.cached else 'was compiled'}")
