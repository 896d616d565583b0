"""The sources of training windows, the sine waves among them, and the split that keeps some waves unseen.

    x_t = level + amplitude · sin(phase + 2π t / period)          t = 0, 1, 2, …

The period, the amplitude, the level and the phase of the first value determine a window, so these four are drawn. A
random window of one endless curve has that curve's period and a random phase.

**The split.** The range of the period (in its logarithm) and that of the phase are each cut into `BANDS` equal parts.
The middle `HELD_OUT` of every part is held out. A training window has neither a period nor a phase from the held-out
ranges; a held-out window has both. Errors on held-out windows are therefore errors on unseen waves, spread over the
whole range. A quantity with a single value (both ends equal) cannot be held out: on one curve the split is by phase
alone.

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

# These seed separate draws of held-out waves: the waves that select the best weights must not be the reported ones.
SELECTION, REPORT, CALIBRATION, FRESH, EXAMPLES = 1, 2, 3, 4, 5


class Source(Protocol):
    """A source of windows to learn from: `Waves` are drawn, `Series` are read from a file."""

    @property
    def rollouts(self) -> tuple[int, ...]:
        """Return the numbers of steps over which rollouts are measured. The first of them selects the weights."""

    @property
    def unit(self) -> str:
        """Return the name of the unit that errors are fractions of."""

    @property
    def description(self) -> dict[str, JsonValue]:
        """Return the description of the data for the artifact's metadata."""

    def training(self, count: int, window: int, horizon: int, seed: int | Sequence[int]) -> "WindowDataset":
        """Return `count` random windows to train on."""

    def selection(self, window: int, horizon: int, count: int) -> "WindowDataset":
        """Return `count` windows to select the weights with. They are not trained on. There may be fewer."""

    def held_out(self, window: int, horizon: int, count: int) -> "WindowDataset":
        """Return `count` windows that neither training nor selection has seen, or fewer if there are fewer."""

    def calibration(self, window: int, horizon: int, count: int) -> "WindowDataset":
        """Return windows to calibrate intervals with. They are not trained on."""

    def fresh(self, window: int, horizon: int, count: int) -> "WindowDataset":
        """Return windows to measure the coverage of intervals with. Nothing has been fitted to them."""


@dataclass(frozen=True)
class Waves:
    """A family of sine waves. Each range is given by its two ends; equal ends select one value."""

    period: tuple[float, float] = (10.0, 50.0)
    """Period in samples, drawn uniformly in its logarithm. More than 2, because faster waves cannot be sampled."""

    phase: tuple[float, float] = (0.0, math.tau)
    """Phase of a window's first value, in radians, drawn uniformly. The default is any phase."""

    amplitude: tuple[float, float] = (0.1, 10.0)
    """Amplitude in the units of the series, drawn uniformly in its logarithm. More than 0."""

    level: tuple[float, float] = (0.0, 0.0)
    """Level that the wave moves around, in amplitudes, drawn uniformly."""

    def __post_init__(self) -> None:
        for name, (low, high) in vars(self).items():
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
    """Map numbers that are uniform on [0, 1) to the part of [0, 1) that belongs to `split`. They are uniform there."""
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
    """Windows of `window` values, each with the `horizon` values that follow it. Subclasses define how they are
    indexed.
    """

    def __init__(self, window: int, horizon: int, unit_B: Floats) -> None:
        self.window = window
        self.horizon = horizon
        self.unit_B = unit_B
        """Errors on each window are given as fractions of this, in the units of the series."""

    def __len__(self) -> int:
        return len(self.unit_B)

    def __getitem__(self, index: int | Sequence[int]) -> Windows:
        """Return the window [T] and its continuation [S], in double precision; [B, T] and [B, S] for several indices.

        Several windows are computed at once, which is a hundred times faster than one by one.
        """
        raise NotImplementedError

    def all(self) -> Windows:
        """Return every window and its continuation: [B, T] and [B, S]."""
        return self[range(len(self))]


class WaveDataset(WindowDataset):
    """`count` random windows of `window` values, each with the `horizon` values that follow it.

    Item i depends on the waves, the split, the seed and i, and on nothing else. A longer data set therefore begins with
    the same items.

    Args:
        waves: the family to draw from.
        split: the part of the family that is drawn.
        count: number of windows.
        window: number of values in a window, T.
        horizon: number of values that follow it, S. 1 gives the next value alone; more are for closed-loop training.
        seed: one integer or several, none negative.
    """

    def __init__(
        self, waves: Waves, split: Split, count: int, window: int, horizon: int = 1, seed: int | Sequence[int] = 0
    ) -> None:
        if min(count, window, horizon) < 1:
            raise ValueError(f"count, window and horizon must be at least 1, not {count}, {window}, {horizon}")
        uniform_4B = np.random.default_rng(seed).random((count, 4)).T
        self.period_B = np.exp(
            _between((math.log(waves.period[0]), math.log(waves.period[1])), cut(uniform_4B[0], split))
        )
        self.phase_B = _between(waves.phase, cut(uniform_4B[1], split))
        self.amplitude_B = np.exp(_between((math.log(waves.amplitude[0]), math.log(waves.amplitude[1])), uniform_4B[2]))
        self.level_B = self.amplitude_B * _between(waves.level, uniform_4B[3])
        super().__init__(window, horizon, unit_B=self.amplitude_B)

    def __getitem__(self, index: int | Sequence[int]) -> Windows:
        """See `WindowDataset`."""
        chosen = np.asarray(index)[..., None]
        time_T = np.arange(self.window + self.horizon)
        x = self.amplitude_B[chosen] * np.sin(self.phase_B[chosen] + math.tau * time_T / self.period_B[chosen])
        series = torch.from_numpy(self.level_B[chosen] + x)
        return series[..., : self.window], series[..., self.window :]


def wave_loader(dataset: WindowDataset, batch: int) -> DataLoader[Windows]:
    """Return batches of [B, T] and [B, S] in the order of the items, which is random. The last may be smaller."""
    sampler = BatchSampler(SequentialSampler(dataset), batch, drop_last=False)
    # With batch_size None, the data set gets the sampler's lists of indices unchanged and makes whole batches.
    return DataLoader(dataset, sampler=sampler, batch_size=None)
