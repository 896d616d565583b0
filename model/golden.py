"""Golden rollouts: what a model answers, computed once in double precision, so that every runtime can be held to it.

They are made by `model/cell.py`, step by step and without the fold, so that they share no code with what they check.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from model.artifact import ArtifactError
from model.cell import CELLS, Cell, Readout, unroll_stack
from model.metadata import Golden, GoldenCase
from model.network import Network
from model.runtime.base import Runtime


class GoldenMismatch(ArtifactError):
    """A runtime does not reproduce the rollouts that the artifact carries."""


def make_golden(network: Network, sequences: Iterable[Sequence[float]], steps: int) -> Golden:
    """The rollouts of `steps` values that follow `sequences`, in the caller's units."""
    cells, readout = reference_cells(network)
    return Golden(
        cases=[
            GoldenCase(sequence=list(sequence), values=_reference_rollout(network, cells, readout, sequence, steps))
            for sequence in sequences
        ]
    )


def reference_cells(network: Network) -> tuple[list[Cell], Readout]:
    """The network's weights as cells of `model/cell.py`, in double precision."""
    cells = [
        CELLS[network.cell](*(weight.detach().cpu().double() for weight in network.weights(layer)))
        for layer in range(network.layers)
    ]
    W_y_OH, b_y_O = (weight.detach().cpu().double() for weight in network.readout.parameters())
    return cells, Readout(W_y_OH, b_y_O)


def _reference_rollout(
    network: Network, cells: Sequence[Cell], readout: Readout, sequence: Sequence[float], steps: int
) -> list[float]:
    x_BTI = torch.tensor(sequence, dtype=torch.float64).view(1, -1, 1)
    scale = network.fixed_scale or float(x_BTI.abs().max()) or 1.0
    h_BTH, state_LBM = unroll_stack(cells, (x_BTI - network.offset) / scale)
    values = []
    for _ in range(steps):
        y_BTI = readout(h_BTH[:, -1:])
        values.append(float(y_BTI) * scale + network.offset)
        h_BTH, state_LBM = unroll_stack(cells, y_BTI, state_LBM)
    return values


def tolerance(steps: int) -> npt.NDArray[np.float64]:
    """How far value k of a rollout may be from the double-precision reference, as fractions of the scale, [S].

    1e-5 for the next value. Rounding errors of single precision (6e-8) then travel along the closed loop; on a stable
    oscillation they add up along its phase, so the bound grows in proportion to k.

    Two runtimes agree within the same bound up to 1,000 steps. Beyond, it is no promise: over 10,000 steps of the model
    that ships, one wave in sixty exceeded it by half, because its phase had drifted (0.15 of the scale).
    """
    return 1e-5 * np.arange(1, steps + 1, dtype=np.float64)


def check_golden(runtime: Runtime, golden: Golden) -> None:
    """Raise GoldenMismatch unless `runtime` reproduces every golden rollout within `tolerance`."""
    states = runtime.encode([case.sequence for case in golden.cases])
    for number, (case, state) in enumerate(zip(golden.cases, states, strict=True)):
        values_BS, _ = runtime.rollout([state], len(case.values))
        error_S = np.abs(values_BS[0] - case.values) / (state.scale or 1.0)
        if not np.all(error_S <= tolerance(len(case.values))):  # false for NaN too
            raise GoldenMismatch(
                f"the {runtime.name} runtime does not reproduce golden rollout {number}: off by up to "
                f"{np.max(error_S):.1e} of the scale. The artifact does not fit this code, or this machine computes "
                f"differently; `python -m training` makes a new one."
            )
