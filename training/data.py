"""Where windows come from; sine waves to learn from, and the split that keeps some of them unseen.

    x_t = amplitude · sin(phase + 2π t / period)          t = 0, 1, 2, …

A window is known wholly by its period, its amplitude and its phase at the first value, so these three are what is
drawn; a random window of one endless curve is that curve's period with a random phase.

**The split.** The range of the period (in its logarithm) and that of the phase are each cut into `BANDS` equal parts,
and the middle `HELD_OUT` of every part is set aside. A training window has neither a period nor a phase from what was
set aside; a held-out window has both. So errors on held-out windows are errors on waves that training never saw, with
unseen neighbours all around, spread over the whole range. What is chosen, not drawn (both ends equal), cannot be held
out: on one curve the split is by phase alone.

Shape suffixes: B batch, T time, S steps that follow the window.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from pydantic import JsonValue
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler

BANDS = 6
HELD_OUT = 0.2

Floats = npt.NDArray[np.float64]
Split = Literal["training", "held_out"]
Windows = tuple[Tensor, Tensor]

# Different draws of held-out waves: the one that chooses the best weights must not be the one that is reported.
SELECTION, REPORT, CALIBRATION, FRESH, EXAMPLES = 1, 2, 3, 4, 5


class Source(Protocol):
    """What there is to learn from: `Waves`, which are drawn, or `Series`, which were read."""

    @property
    def rollouts(self) -> tuple[int, ...]:
        """Numbers of steps that rollouts are measured over; the first of them chooses the weights."""

    @property
    def offset(self) -> float:
        """What is taken from every value before the network sees it, in the units of the series."""

    @property
    def scale(self) -> float:
        """What every value is then divided by; 0 stands for the largest absolute value of each window."""

    @property
    def unit(self) -> str:
        """What errors are fractions of, in words."""

    @property
    def description(self) -> dict[str, JsonValue]:
        """For the artifact's metadata."""

    def training(self, count: int, window: int, horizon: int, seed: int | Sequence[int]) -> "WindowDataset":
        """`count` random windows to train on."""

    def selection(self, window: int, horizon: int, count: int) -> "WindowDataset":
        """`count` windows that are not trained on, to choose the weights by; fewer where there are not so many."""

    def held_out(self, window: int, horizon: int, count: int) -> "WindowDataset":
        """`count` windows that neither the weights nor their choice have seen; fewer where there are not so many."""

    def calibration(self, window: int, horizon: int, count: int) -> "WindowDataset":
        """Windows that are not trained on, to calibrate intervals with."""

    def fresh(self, window: int, horizon: int, count: int) -> "WindowDataset":
        """Windows that nothing has been fitted to, to count how often intervals hold."""


@dataclass(frozen=True)
class Waves:
    """A family of sine waves. Each range is its two ends; equal ends choose one value."""

    period: tuple[float, float] = (10.0, 50.0)
    """Period in samples, drawn uniformly in its logarithm. More than 2, where sampling loses the wave."""

    phase: tuple[float, float] = (0.0, math.tau)
    """Phase of a window's first value in radians, drawn uniformly. The default is any phase."""

    amplitude: tuple[float, float] = (0.1, 10.0)
    """Amplitude in the units of the series, drawn uniformly in its logarithm. More than 0."""

    def __post_init__(self) -> None:
        for name, (low, high) in (("period", self.period), ("phase", self.phase), ("amplitude", self.amplitude)):
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise ValueError(f"{name} must be two finite numbers, the smaller one first, not {low} {high}")
        if self.period[0] <= 2:
            raise ValueError(f"period must be more than 2 samples, not {self.period[0]}")
        if self.amplitude[0] <= 0:
            raise ValueError(f"amplitude must be more than 0, not {self.amplitude[0]}")
        if self.phase[1] - self.phase[0] > math.tau + 1e-9:
            raise ValueError(f"phase must span at most 2π, not {self.phase[0]} to {self.phase[1]}")
        if self.period[0] == self.period[1] and self.phase[0] == self.phase[1]:
            raise ValueError("period or phase must be a range: of one wave with one phase nothing can be held out")

    @property
    def rollouts(self) -> tuple[int, ...]:
        """See `Source`."""
        return 100, 1000

    @property
    def offset(self) -> float:
        """See `Source`."""
        return 0.0

    @property
    def scale(self) -> float:
        """See `Source`."""
        return 0.0

    @property
    def unit(self) -> str:
        """See `Source`."""
        return "amplitude"

    @property
    def description(self) -> dict[str, JsonValue]:
        """See `Source`."""
        ranges: dict[str, JsonValue] = {name: list(ends) for name, ends in dataclasses.asdict(self).items()}
        return ranges | {"kind": "sine", "held_out": f"the middle {HELD_OUT:.0%} of {BANDS} bands of period and phase"}

    def training(self, count: int, window: int, horizon: int, seed: int | Sequence[int]) -> "WaveDataset":
        """See `Source`."""
        return WaveDataset(self, "training", count, window, horizon, seed)

    def selection(self, window: int, horizon: int, count: int) -> "WaveDataset":
        """See `Source`."""
        return WaveDataset(self, "held_out", count, window, horizon, SELECTION)

    def held_out(self, window: int, horizon: int, count: int, seed: int | Sequence[int] = REPORT) -> "WaveDataset":
        """See `Source`."""
        return WaveDataset(self, "held_out", count, window, horizon, seed)

    def calibration(self, window: int, horizon: int, count: int) -> "WaveDataset":
        """See `Source`."""
        return self.held_out(window, horizon, count, (CALIBRATION, window))

    def fresh(self, window: int, horizon: int, count: int) -> "WaveDataset":
        """See `Source`."""
        return self.held_out(window, horizon, count, (FRESH, window))


def cut(uniform_B: Floats, split: Split) -> Floats:
    """Move numbers that are uniform on [0, 1) into the part of [0, 1) that belongs to `split`, uniform there."""
    band_B, place_B = np.divmod(uniform_B * BANDS, 1.0)
    edge = (1 - HELD_OUT) / 2  # each band is training, held out, training
    if split == "held_out":
        place_B = edge + HELD_OUT * place_B
    else:
        place_B = place_B * (1 - HELD_OUT)
        place_B = np.where(place_B < edge, place_B, place_B + HELD_OUT)
    return (band_B + place_B) / BANDS


def _between(ends: tuple[float, float], place_B: Floats) -> Floats:
    return ends[0] + (ends[1] - ends[0]) * place_B


class WindowDataset(Dataset[Windows]):
    """Windows of `window` values, each with the `horizon` values that follow it. What it holds has to come by index."""

    def __init__(self, window: int, horizon: int, unit_B: Floats) -> None:
        self.window = window
        self.horizon = horizon
        self.unit_B = unit_B
        """What errors on each window are given as fractions of, in the units of the series."""

    def __len__(self) -> int:
        return len(self.unit_B)

    def __getitem__(self, index: int | Sequence[int]) -> Windows:
        """The window [T] and what follows it [S], in double precision; [B, T] and [B, S] for several indices.

        Many at once are computed at once, which is a hundred times faster than one by one.
        """
        raise NotImplementedError

    def all(self) -> Windows:
        """Every item: [B, T] and [B, S]."""
        return self[range(len(self))]


class WaveDataset(WindowDataset):
    """`count` random windows of `window` values, each with the `horizon` values that follow it.

    Item i depends on the waves, the split, the seed and i, and on nothing else: a longer data set begins with the
    same items.

    Args:
        window: values in a window, T.
        horizon: values that follow it, S. 1 for the next value alone; more for closed-loop training.
        seed: one integer or several, none negative.
    """

    def __init__(
        self, waves: Waves, split: Split, count: int, window: int, horizon: int = 1, seed: int | Sequence[int] = 0
    ) -> None:
        if min(count, window, horizon) < 1:
            raise ValueError(f"count, window and horizon must be at least 1, not {count}, {window}, {horizon}")
        uniform_3B = np.random.default_rng(seed).random((count, 3)).T
        self.period_B = np.exp(
            _between((math.log(waves.period[0]), math.log(waves.period[1])), cut(uniform_3B[0], split))
        )
        self.phase_B = _between(waves.phase, cut(uniform_3B[1], split))
        self.amplitude_B = np.exp(_between((math.log(waves.amplitude[0]), math.log(waves.amplitude[1])), uniform_3B[2]))
        super().__init__(window, horizon, unit_B=self.amplitude_B)

    def __getitem__(self, index: int | Sequence[int]) -> Windows:
        """See `WindowDataset`."""
        chosen = np.asarray(index)[..., None]
        time_T = np.arange(self.window + self.horizon)
        x = self.amplitude_B[chosen] * np.sin(self.phase_B[chosen] + math.tau * time_T / self.period_B[chosen])
        series = torch.from_numpy(x)
        return series[..., : self.window], series[..., self.window :]


def wave_loader(dataset: WindowDataset, batch: int) -> DataLoader[Windows]:
    """Batches of [B, T] and [B, S] in the order of the items, which are random already; the last may be smaller."""
    sampler = BatchSampler(SequentialSampler(dataset), batch, drop_last=False)
    # batch_size None: the sampler's lists of indices go to the data set as they are, and it makes whole batches.
    return DataLoader(dataset, sampler=sampler, batch_size=None)
