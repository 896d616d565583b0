"""Golden rollouts: the answers of a model in double precision. Every runtime has to reproduce them.

They are made by `model/cell.py`, step by step and without the fold, so that they share no code with what they check.
"""

from collections.abc import Iterable, Sequence

import torch

from model.cell import CELLS, Cell, Readout, unroll_stack
from model.metadata import Golden, GoldenCase
from model.network import Network
from model.units import units_between


def make_golden(network: Network, sequences: Iterable[Sequence[float]], steps: int) -> Golden:
    """Return the rollouts of `steps` values that follow `sequences`, in the caller's units."""
    cells, readout = reference_cells(network)
    return Golden(
        cases=[
            GoldenCase(sequence=list(sequence), values=_reference_rollout(network, cells, readout, sequence, steps))
            for sequence in sequences
        ]
    )


def reference_cells(network: Network) -> tuple[list[Cell], Readout]:
    """Return the network's weights as cells of `model/cell.py`, in double precision."""
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
    level, scale = units_between(
        min(sequence), max(sequence), network.normalisation, network.offset, network.fixed_scale
    )
    h_BTH, state_LBM = unroll_stack(cells, (x_BTI - level) / (scale or 1.0))
    values = []
    for _ in range(steps):
        y_BTI = readout(h_BTH[:, -1:])
        values.append(float(y_BTI) * scale + level)
        h_BTH, state_LBM = unroll_stack(cells, y_BTI, state_LBM)
    return values
