"""Runtimes: what executes an artifact. `open_runtime` chooses one, and it serves only after the golden check.

A runtime turns sequences into states (`encode`) and states into values (`rollout`). A state is all that a sequence
leaves behind: going on from it is exactly going on from the sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from model.artifact import Artifact, load_module

Device = Literal["auto", "cpu", "cuda"]


class DeviceUnavailable(Exception):
    """The device that was asked for is not there."""


@dataclass(frozen=True, slots=True)
class State:
    """What a runtime remembers of a sequence."""

    hidden_LH: npt.NDArray[np.float32]
    """The hidden state of each layer after the last value."""

    scale: float
    """What the sequence was divided by, in the caller's units."""


class Runtime(Protocol):
    """Executes one artifact on one device."""

    name: str
    """For logs and `GET /model`."""

    device: str

    def encode(self, sequences: Sequence[Sequence[float]]) -> list[State]:
        """The state after each sequence. Each has at least one value, all finite; lengths may differ."""
        ...

    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """The next `steps` values of each, [B, S] in the caller's units, and the states after them."""
        ...


def open_runtime(artifact: Artifact, device: Device = "auto") -> Runtime:
    """The runtime for an artifact, checked against its golden rollouts.

    Raises:
        DeviceUnavailable: `cuda` was asked for and there is none. `auto` takes what is there.
        ArtifactError: torch cannot load the artifact, or the runtime does not reproduce its golden rollouts.
    """
    from model.golden import check_golden
    from model.scripted import ScriptedRuntime

    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailable("device cuda was asked for, but torch finds no CUDA device; use cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
    runtime = ScriptedRuntime(load_module(artifact, place), artifact.metadata.architecture, place)
    check_golden(runtime, artifact.golden)
    return runtime
