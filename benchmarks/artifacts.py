"""Untrained artifacts to measure with. The time of a forecast depends on a network's size, not on its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from model.artifact import save_artifact
from model.golden import make_golden
from model.metadata import Architecture, CellKind, Metadata
from model.network import Network


def untrained(folder: Path, hidden: int = 32, layers: int = 1, cell: CellKind = "rnn") -> Path:
    """Write an artifact with random weights into `folder` and return its path.

    The weights are always the same for one architecture.
    """
    name = f"untrained-{cell}-{hidden}x{layers}"
    architecture = Architecture(cell=cell, hidden=hidden, layers=layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(architecture)
    with torch.no_grad():
        golden = make_golden(network, [np.sin(np.arange(length)).tolist() for length in (2, 50)], steps=16)
    metadata = Metadata(
        name=name,
        version="1",
        architecture=architecture,
        normalisation="range",
        data={},
        training={},
        errors={},
        torch_version=torch.__version__,
    )
    path = folder / f"{name}.pt"
    save_artifact(network, metadata, golden, path)
    return path
