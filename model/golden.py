"""Golden rollouts: what a model answers, computed once in double precision, so that every runtime can be held to it.

They are made by `model/cell.py`, step by step and without the fold, so that they share no code with what they check.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from model.artifact import ArtifactError
from model.cell import Cell, Readout, step, unroll_stack
from model.metadata import Golden, GoldenCase
from model.network import Network
from model.runtime import Runtime


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
    weights = [weight.detach().cpu().double() for weight in network.rnn.parameters()]
    cells = [Cell(*weights[first : first + 4]) for first in range(0, len(weights), 4)]
    W_y_OH, b_y_O = (weight.detach().cpu().double() for weight in network.readout.parameters())
    return cells, Readout(W_y_OH, b_y_O)


def _reference_rollout(
    network: Network, cells: Sequence[Cell], readout: Readout, sequence: Sequence[float], steps: int
) -> list[float]:
    x_BTI = torch.tensor(sequence, dtype=torch.float64).view(1, -1, 1)
    scale = network.fixed_scale or float(x_BTI.abs().max()) or 1.0
    _, h_LBH = unroll_stack(cells, (x_BTI - network.offset) / scale)
    values = []
    for _ in range(steps):
        y_BI = readout(h_LBH[-1])
        values.append(float(y_BI) * scale + network.offset)
        below_BI, states = y_BI, []
        for cell, h_BH in zip(cells, h_LBH, strict=True):
            below_BI = step(cell, below_BI, h_BH)
            states.append(below_BI)
        h_LBH = torch.stack(states)
    return values


def tolerance(steps: int) -> npt.NDArray[np.float64]:
    """How far value k of a rollout may be from the double-precision reference, as fractions of the scale, [S].

    1e-5 for the next value. Rounding errors of single precision (6e-8) then travel along the closed loop; on a stable
    oscillation they add up along its phase, so the bound grows in proportion to k.
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
