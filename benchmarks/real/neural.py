"""Networks of other projects, which are options because their packages are no part of the extra `examples`.

    pip install -c constraints.txt fracast neuralforecast

Neither package needs CUDA. neuralforecast brings Ray and Lightning, 0.5 GB.

Shape suffixes: T time, S steps, Q quantiles.
"""

from __future__ import annotations

import logging
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from benchmarks.real.forecasts import LEVELS, QUANTILES, Forecast, Forecaster, Refused, from_intervals
from training.data import Floats


class Fracast:
    """Fracast-0, a network of 85,001 weights for any series. It is not told the season."""

    name = "Fracast-0"
    package = "fracast"

    @property
    def version(self) -> str:
        return f"fracast {version('fracast')}, fp32"

    @cached_property
    def _model(self) -> Any:
        from fracast.inference import FracastModel

        model = FracastModel.from_pretrained(weights="fp32")  # those in the package
        if not np.allclose(model.quantiles, QUANTILES):
            raise Refused(f"its quantiles are {model.quantiles}")
        return model

    def forecast(self, past_T: Floats, season: int, horizon: int) -> Forecast:
        quantiles_SQ = self._model.forecast(past_T, horizon=horizon).astype(np.float64)
        return Forecast(quantiles_SQ[:, QUANTILES.index(0.5)], quantiles_SQ)


class LSTM:
    """The LSTM of neuralforecast, trained anew at each origin with a fifth of its default steps and smaller batches.

    With the default settings, one core trains for minutes. A forecast is given four seasons, and at least two horizons.
    """

    name = "LSTM"
    package = "neuralforecast"

    @property
    def version(self) -> str:
        return f"neuralforecast {version('neuralforecast')}, 200 steps"

    def forecast(self, past_T: Floats, season: int, horizon: int) -> Forecast:
        from neuralforecast import NeuralForecast
        from neuralforecast.losses.pytorch import MQLoss
        from neuralforecast.models import LSTM as Network
        from pandas import DataFrame

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        network = Network(
            h=horizon,
            input_size=min(max(4 * season, 2 * horizon), len(past_T) - 2 * horizon),
            loss=MQLoss(level=list(LEVELS)),
            scaler_type="standard",
            max_steps=200,
            windows_batch_size=128,
            random_seed=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        fitted = NeuralForecast(models=[network], freq=1)
        fitted.fit(DataFrame({"unique_id": "y", "ds": np.arange(len(past_T)), "y": past_T}))
        answer = fitted.predict()
        ends = {name.removeprefix("LSTM-"): answer[name].to_numpy(dtype=np.float64) for name in answer.columns[2:]}
        return Forecast(ends["median"], from_intervals(ends["median"], ends))


OPTIONS: dict[str, type[Fracast] | type[LSTM]] = {"Fracast-0": Fracast, "LSTM": LSTM}


def option(name: str) -> Forecaster:
    """Return one of `OPTIONS`.

    Raises:
        Refused: its package is not installed.
    """
    package = OPTIONS[name].package
    try:
        version(package)
    except PackageNotFoundError as error:
        raise Refused(f"the package {package} is not installed") from error
    return OPTIONS[name]()
