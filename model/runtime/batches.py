"""The parts that the runtimes of batches share: states before and after a batch, and its values in the network's units.

Shape suffixes: B batch, T time, S steps, L layers, M memory (H, or 2H for an LSTM), R = RECENT errors.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.fit import RECENT, residual_and_noise
from model.metadata import Metadata
from model.runtime.base import State


def first_state(metadata: Metadata, sequence: Sequence[float]) -> State:
    """Return the state before the first value of a sequence: zero, in the units of the sequence."""
    shape = (metadata.architecture.layers, metadata.architecture.memory)
    return State(np.zeros(shape, np.float32), *metadata.units(min(sequence), max(sequence)))


def normalised(
    sequences: Sequence[Sequence[float]], states: Sequence[State]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the values in the units of their states, padded with zeros [B, T], and the number of each row's [B]."""
    length_B = np.array([len(sequence) for sequence in sequences])
    x_BT = np.zeros((len(sequences), length_B.max()))
    given_BT = np.arange(x_BT.shape[1]) < length_B[:, None]
    x_BT[given_BT] = np.fromiter(itertools.chain.from_iterable(sequences), np.float64, length_B.sum())
    level_B1, scale_B1 = _units(states)
    moves_B1 = scale_B1 > 0  # a constant sequence is encoded as zeros
    z_BT = np.where(given_BT & moves_B1, (x_BT - level_B1) / np.where(moves_B1, scale_B1, 1.0), 0.0)
    return z_BT.astype(np.float32), length_B


def in_callers_units(y_BS: npt.NDArray[np.float32], states: Sequence[State]) -> npt.NDArray[np.float64]:
    """Return the values of rollouts, [B, S], in the caller's units."""
    level_B1, scale_B1 = _units(states)
    values_BS: npt.NDArray[np.float64] = y_BS.astype(np.float64) * scale_B1 + level_B1
    return values_BS


def observed(
    before: Sequence[State],
    memory_BLM: npt.NDArray[np.float32],
    error_BR: npt.NDArray[np.float32],
    length_B: npt.NDArray[np.int64],
) -> list[State]:
    """Return the states after `length_B` more values each.

    `error_BR` has the errors of their last values, the newest last. A row with fewer values has anything before them,
    and keeps its earlier errors there.
    """
    error_BR = error_BR.copy()
    for error_R, state, length in zip(error_BR, before, length_B.tolist(), strict=True):
        if length < RECENT:
            error_R[: RECENT - length] = state.error_R[length:]
    observed_B = np.array([state.observed for state in before]) + length_B
    residual_B, noise_B = residual_and_noise(error_BR, observed_B)
    after = zip(memory_BLM, observed_B.tolist(), error_BR, residual_B.tolist(), noise_B.tolist(), before, strict=True)
    return [
        State(memory_LM, state.level, state.scale, count, error_R, residual, noise, state.rolled_out, state.season)
        for memory_LM, count, error_R, residual, noise, state in after
    ]


def _units(states: Sequence[State]) -> npt.NDArray[np.float64]:
    """Return level and scale of each state, [2, B, 1]."""
    units_2B1: npt.NDArray[np.float64] = np.array(
        [[state.level for state in states], [state.scale for state in states]]
    )[..., None]
    return units_2B1
