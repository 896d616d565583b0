"""Small artifacts of random weights: what they predict is worthless, how they are handled is not."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from model.artifact import save_artifact
from model.golden import make_golden
from model.metadata import Architecture, CellKind, Metadata
from model.network import Network

GOLDEN_SEQUENCES = [np.sin(np.arange(length)).tolist() for length in (2, 16, 64)]

MakeArtifact = Callable[..., Path]


def make_small_artifact(
    folder: Path,
    *,
    cell: CellKind = "rnn",
    hidden: int = 16,
    layers: int = 1,
    prepare: Callable[[Network], object] = lambda network: None,
    spoil: Callable[[Network], object] = lambda network: None,
    offset: float = 0.0,
    fixed_scale: float = 0.0,
    golden: Sequence[Sequence[float]] = GOLDEN_SEQUENCES,
    name: str = "small.pt",
) -> Path:
    """An artifact of an untrained network.

    Its weights may be changed, by `prepare` before its golden rollouts are made, by `spoil` after it.
    """
    architecture = Architecture(cell=cell, hidden=hidden, layers=layers)
    torch.manual_seed(0)
    network = Network(architecture, offset, fixed_scale)
    with torch.no_grad():
        prepare(network)
        expected = make_golden(network, golden, steps=16)
        spoil(network)
    metadata = Metadata(
        name="small",
        version="1",
        architecture=architecture,
        data={},
        training={},
        errors={"next_value_rmse": 1.0},
        torch_version=torch.__version__,
    )
    save_artifact(network, metadata, expected, folder / name)
    return folder / name
