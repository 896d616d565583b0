"""What changes from epoch to epoch, in one place: what a run goes on with, and what a checkpoint holds."""

from dataclasses import dataclass

import torch

from model.network import Network
from training.record import Record


@dataclass
class Run:
    """A training run between two epochs."""

    network: Network
    adam: torch.optim.Adam
    record: Record

    horizon: int
    """Steps of the closed loop in the loss of the next epoch with Adam."""

    stage: int = 0
    """Stages of the finish that are over."""

    iterations: int = 0
    """Iterations of the stage that follows them."""

    damping: float = 0.0
    """λ of the next of them; each stage chooses its first."""
