"""Your own series as a source, and their split by time.

The last `HELD_OUT` of each series is unseen until the report. The `SELECTION` before it selects the weights and is not
trained on. Forecasts never cross these borders. The values given to a forecast may lie before a border, as they will
when the model is used.

One network serves all series and is not told which one it sees. Errors are given as fractions of the standard
deviation of all training parts together.

Shape suffixes: B batch, T time, S steps that follow the window, N all points of all series.
"""

import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import JsonValue

from model.series import read_series
from model.series.gaps import Fill
from training.config import Config
from training.data import Floats, Source, WindowDataset, Windows
from training.prior.source import Prior

SELECTION, HELD_OUT = 0.15, 0.20

Part = tuple[int, int]


def open_source(config: Config) -> Source:
    """Return the source that `config` selects.

    Raises:
        ValueError: the file of series cannot be trained on; the message names file and row.
    """
    if config.inputs == "anchors":
        return Prior()
    if config.data is None:
        return config.waves
    horizon = config.horizon[1]
    at_least = fewest_points(max(config.context[1], config.context_evaluated), horizon)
    return Series(read(config.data, config.column, config.time, config.id, config.fill, at_least), horizon)


def read(
    path: Path, column: str | None, time: str | None, id: str | None, fill: Fill | None, at_least: int
) -> dict[str, Floats]:
    """Return the series of a file, as `read_series` does, and print its notes.

    Raises:
        SeriesError: the file is not usable; the message names file and row.
    """
    reading = read_series(path, column, time, id, fill, at_least)
    for note in reading.notes:
        print(f"{path}: {note}", file=sys.stderr)
    return reading.values


class Series:
    """Series by name, as `read_series` returns them. Forecasts cover `horizon` values at a time.

    The last `later` values of each series came after the training of the model that is measured. They extend the
    held-out part and change no other part.

    Raises:
        ValueError: all values of the training parts are the same.
    """

    def __init__(self, values: Mapping[str, Floats], horizon: int, later: int = 0) -> None:
        self.rollouts = (horizon,)
        self.digest = digest({name: value_T[: len(value_T) - later] for name, value_T in values.items()})
        self._values_N = np.concatenate(list(values.values()))
        length_by_series = [len(value_T) for value_T in values.values()]
        first_by_series = np.cumsum([0, *length_by_series[:-1]]).tolist()
        self._parts = [
            [(first, first + begin, first + end) for begin, end in split(length, later)]
            for first, length in zip(first_by_series, length_by_series, strict=True)
        ]
        training_N = np.concatenate(self.training_parts)
        self.deviation = float(training_N.std())
        if not self.deviation > 0:
            raise ValueError("all values of the training part are the same: there is nothing to learn")

    @property
    def unit(self) -> str:
        """See `Source`."""
        return "standard deviation of the training part"

    @property
    def training_parts(self) -> list[Floats]:
        """Return the training part of each series."""
        return [self._values_N[begin:end] for (_, begin, end), _, _ in self._parts]

    @property
    def known_parts(self) -> list[Floats]:
        """Return the part of each series before the held-out part. Methods may be fitted to it."""
        return [self._values_N[begin:end] for (_, begin, _), (_, _, end), _ in self._parts]

    @property
    def description(self) -> dict[str, JsonValue]:
        """See `Source`. The description has no file name, because it could identify a person or a place."""
        return {
            "kind": "series",
            "series": len(self._parts),
            "points": len(self._values_N),
            "sha256": self.digest,
            "held_out": f"the last {HELD_OUT:.0%} of each series; the {SELECTION:.0%} before it chose the weights",
        }

    def training(self, count: int, window: int, horizon: int, seed: int | Sequence[int]) -> "SeriesDataset":
        """See `Source`. The windows lie entirely in the training parts."""
        first_N = self._firsts(0, window, horizon)
        return self._dataset(np.random.default_rng(seed).choice(first_N, count), window, horizon)

    def selection(self, window: int, horizon: int, count: int) -> "SeriesDataset":
        """See `Source`. The windows are evenly spread, and their forecasts are in the parts that select the weights."""
        return self._dataset(_thinned(self._firsts(1, window, horizon), count), window, horizon)

    def held_out(self, window: int, horizon: int, count: int) -> "SeriesDataset":
        """See `Source`. The windows are evenly spread, and their forecasts are in the held-out parts."""
        return self._dataset(_thinned(self._firsts(2, window, horizon), count), window, horizon)

    def calibration(self, window: int, horizon: int, count: int) -> "SeriesDataset":
        """See `Source`. A series has only the windows that select the weights, so intervals may be too narrow."""
        return self.selection(window, horizon, count)

    def fresh(self, window: int, horizon: int, count: int) -> "SeriesDataset":
        """See `Source`."""
        return self.held_out(window, horizon, count)

    def _firsts(self, part: int, window: int, horizon: int) -> npt.NDArray[np.int64]:
        """Return the positions where windows may begin so that their forecasts lie in `part`; training windows lie in
        it whole.
        """
        firsts = []
        for parts in self._parts:
            first, begin, end = parts[part]
            earliest = max(first, begin - window) if part else begin
            firsts.append(np.arange(earliest, end - window - horizon + 1))
        first_N = np.concatenate(firsts)
        if not len(first_N):
            raise ValueError(f"no series is long enough for {window} values and {horizon} that follow them")
        return first_N

    def _dataset(self, first_B: npt.NDArray[np.int64], window: int, horizon: int) -> "SeriesDataset":
        return SeriesDataset(self._values_N, first_B, window, horizon, self.deviation)


class SeriesDataset(WindowDataset):
    """Windows of `window` values that begin at `first_B` in `values_N`, each with the `horizon` values that follow."""

    def __init__(
        self, values_N: Floats, first_B: npt.NDArray[np.int64], window: int, horizon: int, unit: float
    ) -> None:
        super().__init__(window, horizon, np.full(len(first_B), unit))
        self._values_N = torch.from_numpy(values_N)
        self._first_B = first_B

    def __getitem__(self, index: int | Sequence[int]) -> Windows:
        """See `WindowDataset`."""
        first = self._first_B[np.asarray(index)][..., None]
        series = self._values_N[torch.from_numpy(first + np.arange(self.window + self.horizon))]
        return series[..., : self.window], series[..., self.window :]


def digest(values: Mapping[str, Floats]) -> str:
    """Return the sha256 of series, in hexadecimal: of their ids, their lengths, their order and all their values."""
    names = [[name, len(value_T)] for name, value_T in values.items()]
    hashed = hashlib.sha256(json.dumps(names).encode())
    for value_T in values.values():
        hashed.update(np.ascontiguousarray(value_T, "<f8").tobytes())
    return hashed.hexdigest()


def split(length: int, later: int = 0) -> tuple[Part, Part, Part]:
    """Return the bounds of the training, the selection and the held-out part: first index, and last index plus one.

    The last `later` values do not move the borders; they belong to the held-out part.
    """
    seen = length - later
    held_out = seen - math.floor(seen * HELD_OUT)
    selection = held_out - math.floor(seen * SELECTION)
    return (0, selection), (selection, held_out), (held_out, length)


def fewest_points(window: int, horizon: int) -> int:
    """Return the shortest length of a series with a training window and one forecast in each of the other parts."""
    length = window + horizon
    while True:
        (begin, end), *others = split(length)
        if end - begin >= window + horizon and all(end - begin >= horizon for begin, end in others):
            return length
        length += 1


def _thinned(first_N: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    if len(first_N) <= count:
        return first_N
    return first_N[np.linspace(0, len(first_N) - 1, count).round().astype(np.int64)]
