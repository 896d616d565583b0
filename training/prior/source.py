"""The synthetic prior as a source of training: batches of tasks, and windows of one season for pictures.

Shape suffixes: B batch, T time, S steps that follow the window.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor

from training.data import CALIBRATION, EXAMPLES, FRESH, REPORT, SELECTION, Floats, WindowDataset, Windows
from training.prior.catalogue import SHARES, batch
from training.prior.curriculum import task

CONTEXT, HORIZON = (3, 600), 24
TASK_SIZE = 16
"""Number of series of a task that is drawn outside of training."""

LEAST_CHANGE = 0.02
"""Least scale of an error, as a fraction of the range or the deviation: no series counts for ever because it is
nearly constant or repeats itself exactly.
"""

Seed = np.random.SeedSequence | Sequence[int]


@dataclass(frozen=True)
class Batch:
    """Series of one task."""

    x_BT: Tensor
    """The values given, in double precision."""

    y_BS: Tensor
    """The values that follow them."""

    season: int
    """The season that the model is told, 1 for none."""


class PriorDataset(WindowDataset):
    """Series of one season. Their errors are fractions of the mean absolute change over a season."""

    def __init__(self, x_BT: Floats, window: int, season: int) -> None:
        lag = min(season, max(1, window - 1))
        given_BT = x_BT[:, :window]
        change_B = np.abs(given_BT[:, lag:] - given_BT[:, :-lag]).mean(axis=1) if window > 1 else np.ones(len(x_BT))
        super().__init__(window, x_BT.shape[1] - window, np.maximum(change_B, LEAST_CHANGE))
        self._x_BT = torch.from_numpy(x_BT)

    def __getitem__(self, index: int | Sequence[int]) -> Windows:
        """See `WindowDataset`."""
        x = self._x_BT[np.asarray(index)]
        return x[..., : self.window], x[..., self.window :]


@dataclass(frozen=True)
class Prior:
    """The synthetic prior. Training draws `batches`; the windows of `Source` all have one season.

    Every draw has its own seed, and the seeds of held-out series are never those of training.
    """

    season: int = 12

    @property
    def rollouts(self) -> tuple[int, ...]:
        """See `Source`."""
        return (HORIZON,)

    @property
    def unit(self) -> str:
        """See `Source`."""
        return "error of seasonal naive"

    @property
    def description(self) -> dict[str, JsonValue]:
        """See `Source`."""
        total = sum(SHARES.values())
        kinds: list[JsonValue] = [
            f"{kind.__name__.replace('_', ' ')} {share / total:.1%}" for kind, share in SHARES.items()
        ]
        return {"kind": "prior", "series": kinds, "held_out": "series from other seeds"}

    def batches(
        self, count: int, size: int, seed: Seed, context: tuple[int, int] = CONTEXT, horizon: int = HORIZON
    ) -> Iterator[Batch]:
        """Yield random tasks, each with random series. The same seed gives the same ones.

        Args:
            count: number of batches.
            size: number of series in each, B.
            seed: the seed of everything random.
            context: fewest and most values given.
            horizon: most values that follow.
        """
        random = np.random.default_rng(seed)
        for _ in range(count):
            drawn = task(random)
            given = min(max(drawn.context, context[0]), context[1])
            steps = min(drawn.horizon, horizon)
            x_BT = torch.from_numpy(batch(random, size, given + steps, drawn.season))
            yield Batch(x_BT[:, :given], x_BT[:, given:], drawn.told)

    def tasks(self, context: int, horizon: int, count: int, purpose: int) -> Iterator[Batch]:
        """Yield `count` unseen series with so many values given and to follow, in tasks like those of training.

        The season is not told where less than one is given. `purpose` distinguishes draws (`training/data.py`).
        """
        random = np.random.default_rng(unseen(purpose, context))
        for first in range(0, count, TASK_SIZE):
            drawn = task(random)
            x_BT = torch.from_numpy(batch(random, min(TASK_SIZE, count - first), context + horizon, drawn.season))
            yield Batch(x_BT[:, :context], x_BT[:, context:], drawn.told if drawn.told + 2 < context else 1)

    def training(self, count: int, window: int, horizon: int, seed: int | Sequence[int]) -> PriorDataset:
        """See `Source`."""
        return self._windows(count, window, horizon, np.random.SeedSequence(seed))

    def selection(self, window: int, horizon: int, count: int) -> PriorDataset:
        """See `Source`."""
        return self._windows(count, window, horizon, unseen(SELECTION, window))

    def held_out(self, window: int, horizon: int, count: int) -> PriorDataset:
        """See `Source`."""
        return self._windows(count, window, horizon, unseen(REPORT, window))

    def calibration(self, window: int, horizon: int, count: int) -> PriorDataset:
        """See `Source`."""
        return self._windows(count, window, horizon, unseen(CALIBRATION, window))

    def fresh(self, window: int, horizon: int, count: int) -> PriorDataset:
        """See `Source`."""
        return self._windows(count, window, horizon, unseen(FRESH, window))

    def example(self, length: int) -> list[float]:
        """Return one held-out series of this season."""
        x_BT = batch(np.random.default_rng(unseen(EXAMPLES, length)), 1, max(2, length), self.season)
        return [float(value) for value in x_BT[0, :length]]

    def _windows(self, count: int, window: int, horizon: int, seed: Seed) -> PriorDataset:
        x_BT = batch(np.random.default_rng(seed), count, window + horizon, self.season)
        return PriorDataset(x_BT, window, self.season)


def unseen(*purpose: int) -> np.random.SeedSequence:
    """Return the seed of held-out series. A spawn key gives other numbers than any seed without one."""
    return np.random.SeedSequence(0, spawn_key=purpose)
