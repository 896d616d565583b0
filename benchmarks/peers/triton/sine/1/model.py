"""Triton's Python backend: one call of the network for the whole batch that Triton passes."""

# mypy: ignore-missing-imports

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from forecaster import Forecaster


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.forecaster = Forecaster()

    def execute(self, requests: list[Any]) -> list[Any]:
        inputs = [pb_utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        ends = np.cumsum([len(x_BT) for x_BT in inputs])
        y_B1 = self.forecaster.predict_batch(np.concatenate(inputs))[:, None]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", part)]) for part in np.split(y_B1, ends[:-1].tolist())]
