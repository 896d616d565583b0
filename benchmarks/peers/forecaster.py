"""The network that every Python peer serves, with the normalisation that all peers must share.

Shape suffixes: B requests, T values.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch


class Forecaster:
    """A TorchScript module behind plain Python numbers. It is safe to call from several threads.

    Values are divided by the largest |x| of their sequence, and the answer is multiplied by it. A sequence of zeros has
    the answer 0. PyTorch gets one intra-op thread, because each peer runs as many workers as there are cores.
    """

    def __init__(self, path: str | None = None) -> None:
        torch.set_num_threads(1)
        self._module = torch.jit.load(path or os.environ["BENCH_MODEL"], map_location="cpu").eval()  # type: ignore[no-untyped-call]
        # The profiling executor specialises a graph in its first calls. No client should wait for that.
        for size in (1, 1, 1, 2, 8, 32, 1):
            self.predict_batch(np.ones((size, 50), dtype=np.float32))

    def predict(self, sequence: Sequence[float]) -> float:
        """Return the value that follows `sequence`."""
        with torch.inference_mode():
            x_T = torch.tensor(sequence, dtype=torch.float32)
            scale = float(x_T.abs().max())
            if scale == 0.0:
                return 0.0
            y_BT, _ = self._module((x_T / scale)[None])
            return scale * float(y_BT[0, -1])

    def predict_batch(self, x_BT: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the values [B] that follow B sequences of one length. One call of the network computes all of them."""
        with torch.inference_mode():
            x = torch.from_numpy(x_BT)
            scale_B1 = x.abs().amax(dim=1, keepdim=True)
            y_BT, _ = self._module(x / torch.where(scale_B1 == 0.0, 1.0, scale_B1))
            answer: npt.NDArray[np.float32] = (scale_B1[:, 0] * y_BT[:, -1]).numpy()
            return answer

    def predict_many(self, sequences: Sequence[Sequence[float]]) -> list[float]:
        """Return `predict` for each sequence. Sequences of one length share a call."""
        by_length: dict[int, list[int]] = {}
        for index, sequence in enumerate(sequences):
            by_length.setdefault(len(sequence), []).append(index)
        answers = [0.0] * len(sequences)
        for indices in by_length.values():
            x_BT = np.asarray([sequences[index] for index in indices], dtype=np.float32)
            for index, answer in zip(indices, self.predict_batch(x_BT).tolist(), strict=True):
                answers[index] = answer
        return answers

    def generate(self, sequence: Sequence[float], steps: int) -> list[float]:
        """Return `steps` values as a service without state does: each step encodes the whole sliding window again."""
        with torch.inference_mode():
            window_1T = torch.tensor(sequence, dtype=torch.float32)[None]
            scale = float(window_1T.abs().max())
            if scale == 0.0:
                return [0.0] * steps
            window_1T = window_1T / scale
            values = []
            for _ in range(steps):
                y_BT, _ = self._module(window_1T)
                next_11 = y_BT[:, -1:]
                values.append(scale * float(next_11))
                window_1T = torch.cat((window_1T[:, 1:], next_11), dim=1)
            return values
