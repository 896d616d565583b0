"""Make small artifacts with random weights. Their predictions are worthless, but they are handled like others."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from model.artifact import save_artifact
from model.golden import make_golden
from model.intervals import Intervals, conformal_radius
from model.metadata import Architecture, Calibration, CellKind, Fitting, Metadata
from model.network import Network
from model.units import Normalisation

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
    normalisation: Normalisation = "range",
    offset: float = 0.0,
    scale: float | None = None,
    golden: Sequence[Sequence[float]] = GOLDEN_SEQUENCES,
    intervals: Intervals | None = None,
    fit: Fitting | None = None,
    rollouts: int = 200,
    name: str = "small.pt",
    called: str = "small",
    version: str = "1",
) -> Path:
    """Write an artifact of an untrained network and return its path.

    `name` is the file's name, and `called` is the model's name in its metadata. `rollouts` is how many rollouts the
    metadata says the intervals come from. `prepare` may change the weights before the golden rollouts are made, `spoil`
    after it.
    """
    architecture = Architecture(cell=cell, hidden=hidden, layers=layers)
    torch.manual_seed(0)
    network = Network(architecture, normalisation, offset, scale)
    with torch.no_grad():
        prepare(network)
        expected = make_golden(network, golden, steps=16)
        spoil(network)
    metadata = Metadata(
        name=called,
        version=version,
        architecture=architecture,
        normalisation=normalisation,
        offset=offset,
        scale=scale,
        data={},
        training={},
        errors={"next_value_rmse": 1.0},
        intervals=described(intervals, rollouts),
        fit=fit,
        torch_version=torch.__version__,
    )
    save_artifact(network, metadata, expected, folder / name, intervals)
    return folder / name


def some_intervals(contexts: tuple[int, ...] = (4, 8), horizon: int = 10, rollouts: int = 200) -> Intervals:
    """Return radii that grow with the horizon. No model was calibrated for them."""
    error_BS = np.random.default_rng(0).normal(0, np.arange(1, horizon + 1), (rollouts, horizon))
    radius_VS = conformal_radius(error_BS)
    about = Calibration(contexts=list(contexts), horizon=horizon, rollouts=rollouts, coverage=[])
    return Intervals.of(about, np.stack([radius_VS[None, None] / (number + 1) for number in range(len(contexts))]))


def described(intervals: Intervals | None, rollouts: int) -> Calibration | None:
    """Return the description of `intervals` in an artifact's metadata."""
    if intervals is None:
        return None
    return Calibration(contexts=list(intervals.contexts), horizon=intervals.horizon, rollouts=rollouts, coverage=[])
