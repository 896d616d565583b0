"""Runtimes: what executes an artifact. `open_runtime` chooses one, and it serves only after the golden check.

A runtime turns sequences into states (`encode`) and states into values (`rollout`). A state is all that a sequence
leaves behind: going on from it is exactly going on from the sequence.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # what only passes states around needs no torch
    import torch

    from model.artifact import Artifact

Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["auto", "fused", "torchscript"]

log = logging.getLogger(__name__)


class DeviceUnavailable(Exception):
    """The device, or the runtime, that was asked for cannot be had here."""


class State(NamedTuple):
    """What a runtime remembers of a sequence."""

    memory_LM: npt.NDArray[np.float32]
    """What each layer remembers after the last value: its hidden state, and behind it an LSTM's cell state."""

    scale: float
    """What the sequence was divided by, in the caller's units."""


class Runtime(Protocol):
    """Executes one artifact on one device."""

    @property
    def name(self) -> str:
        """For logs and `GET /model`."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""

    @property
    def batches(self) -> bool:
        """Whether a batch costs less than its rows one by one."""

    def start(self, sequence: Sequence[float]) -> State:
        """The state before the first value of a sequence that will be encoded in parts: zero, at its scale."""

    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """The state after each sequence, from the start or from `states`, whose scale then holds.

        Each sequence has at least one value, all finite; lengths may differ.
        """

    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """The next `steps` values of each, [B, S] in the caller's units, and the states after them."""

    def forecast(self, sequence: Sequence[float], steps: int) -> npt.NDArray[np.float64]:
        """The next `steps` values [S] of one sequence: `encode` and `rollout` where nobody asks for the state."""


@dataclass(frozen=True)
class Opened:
    """A runtime that has reproduced the golden rollouts."""

    runtime: Runtime
    reason: str
    """Why it is this one, for logs and `GET /model`."""


def open_runtime(artifact: "Artifact", device: Device = "auto", engine: Engine = "auto") -> Opened:
    """The runtime for an artifact, checked against its golden rollouts.

    `auto` takes CUDA where there is one, and on a CPU the fused kernel where it compiles.

    Raises:
        DeviceUnavailable: `cuda` or `fused` was asked for and cannot be had.
        ArtifactError: torch cannot load the artifact, or the runtime does not reproduce its golden rollouts.
    """
    import torch

    from model.golden import check_golden

    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailable("device cuda was asked for, but torch finds no CUDA device; use cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if engine == "fused" and device == "cuda":
        raise DeviceUnavailable("the fused runtime is for the CPU; on CUDA use torchscript or auto")
    opened = _open(artifact, torch.device(device), engine)
    check_golden(opened.runtime, artifact.golden)
    return opened


def _open(artifact: "Artifact", device: "torch.device", engine: Engine) -> Opened:
    from model.artifact import load_module
    from model.runtime.torchscript import ScriptedRuntime

    module, architecture = load_module(artifact, device), artifact.metadata.architecture
    scripted = ScriptedRuntime(module, architecture, device)
    if engine == "torchscript":
        return Opened(scripted, "it was asked for")
    if device.type == "cuda":
        return Opened(scripted, "the device is CUDA")
    try:
        from model.runtime.fused import FusedRuntime

        fused = FusedRuntime(module, architecture)
        return Opened(
            fused, f"the device is a CPU; the kernel {'is from the cache' if fused.cached else 'was compiled'}"
        )
    except Exception as error:  # whatever a compiler may raise; slow is better than not at all, but never in silence
        reason = f"the fused kernel failed to compile: {type(error).__name__}: {error}"
        if engine == "fused":
            raise DeviceUnavailable(reason) from error
        log.warning("Serving with the slower TorchScript runtime: %s", reason)
        return Opened(scripted, reason)
