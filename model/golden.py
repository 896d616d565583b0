"""Golden rollouts: the answers of a model in double precision. Every runtime has to reproduce them.

They are made by `model/cell.py` and `model/anchors/reference.py`, step by step and without the fold, so that they share
no code with what they check.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from model.anchored import CORRECTION, AnchoredNetwork
from model.anchors.reference import Floats, ReferenceAnchors
from model.cell import CELLS, Cell, Readout, unroll_stack
from model.ensemble import EnsembleNetwork
from model.members.reference import ReferenceMembers
from model.metadata import Golden, GoldenCase
from model.network import Network
from model.recurrent import RecurrentNetwork
from model.units import units_between


def make_golden(
    network: Network | AnchoredNetwork | EnsembleNetwork,
    sequences: Iterable[Sequence[float]],
    steps: int,
    seasons: Iterable[int] | None = None,
) -> Golden:
    """Return the rollouts of `steps` values that follow `sequences`, in the caller's units.

    `seasons` are those of the sequences, for an anchored network; None for no season.
    """
    sequences = list(sequences)
    cases = zip(sequences, [1] * len(sequences) if seasons is None else seasons, strict=True)
    return Golden(cases=[_case(network, list(sequence), season, steps) for sequence, season in cases])


def reference_cells(network: RecurrentNetwork) -> tuple[list[Cell], Readout]:
    """Return the network's weights as cells of `model/cell.py`, in double precision."""
    cells = [
        CELLS[network.cell](*(weight.detach().cpu().double() for weight in network.weights(layer)))
        for layer in range(network.layers)
    ]
    W_y_OH, b_y_O = (weight.detach().cpu().double() for weight in network.readout.parameters())
    return cells, Readout(W_y_OH, b_y_O)


def _case(
    network: Network | AnchoredNetwork | EnsembleNetwork, sequence: list[float], season: int, steps: int
) -> GoldenCase:
    members = network.members if isinstance(network, EnsembleNetwork) else None
    network = network.anchored if isinstance(network, EnsembleNetwork) else network
    level, scale = units_between(
        min(sequence), max(sequence), network.normalisation, network.offset, network.fixed_scale
    )
    z_T = [(value - level) / (scale or 1.0) for value in sequence]
    if isinstance(network, AnchoredNetwork):
        rollout = _anchored_rollout(network, ReferenceAnchors(season, level / scale if scale else 0.0), z_T)
    else:
        rollout = _rollout(network, z_T)
    if members is not None:
        rollout = _mixed(ReferenceMembers(members.weights(), level / scale if scale else 0.0), z_T, rollout)
    values = [z * scale + level for z in itertools.islice(rollout, steps)]
    return GoldenCase(sequence=sequence, season=season, values=values)


def _rollout(network: Network, z_T: Sequence[float]) -> Iterator[float]:
    """Continue normalised values for ever."""
    cells, readout = reference_cells(network)
    h_BTH, state_LBM = unroll_stack(cells, torch.tensor(z_T, dtype=torch.float64).view(1, -1, 1))
    while True:
        y_BTI = readout(h_BTH[:, -1:])
        yield float(y_BTI)
        h_BTH, state_LBM = unroll_stack(cells, y_BTI, state_LBM)


def _anchored_rollout(network: AnchoredNetwork, anchors: ReferenceAnchors, z_T: Sequence[float]) -> Iterator[float]:
    """Continue normalised values for ever."""
    cells, readout = reference_cells(network)
    h_BTH, state_LBM = unroll_stack(cells, _stacked([anchors.observe(z) for z in z_T]))
    while True:
        *mixture, correction = readout(h_BTH[0, -1]).unbind()
        share_A = torch.softmax(torch.stack(mixture), dim=0)
        z = float(share_A @ torch.from_numpy(anchors.forecasts[-1]) + CORRECTION * correction)
        yield z
        h_BTH, state_LBM = unroll_stack(cells, _stacked([anchors.feed_back(z)]), state_LBM)


def _mixed(members: ReferenceMembers, z_T: Sequence[float], beside: Iterator[float]) -> Iterator[float]:
    """Continue normalised values for ever, with members beside an anchored network."""
    for z in z_T:
        members.observe(z)
    for z in beside:
        own, mixed = members.mixed(z)
        yield mixed
        members.feed_back(own)


def _stacked(inputs: Sequence[Floats]) -> Tensor:
    """Return inputs of one sequence as [1, T, I]."""
    return torch.from_numpy(np.stack(inputs)).unsqueeze(0)
