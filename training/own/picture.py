"""A picture of forecasts of one series beside what came."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from training.own.backtest import Forecaster, Trial

SHOWN = 3
"""Number of horizons before the forecast that are shown."""


def picture(trial: Trial, forecasters: Mapping[str, Forecaster], horizon: int) -> Figure:
    """Plot the forecasts of a series from its last origin. The first forecaster has the thickest line."""
    origin = trial.origins[-1]
    first = max(0, origin - SHOWN * horizon)
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(first, origin + horizon), trial.x_N[first : origin + horizon], color="black", label="values")
    axes.axvline(origin - 0.5, color="gray", linestyle=":", linewidth=1)
    for number, (name, forecaster) in enumerate(forecasters.items()):
        values_S = forecaster(trial.x_N[:origin], horizon)
        axes.plot(np.arange(origin, origin + horizon), values_S, "--", label=name, linewidth=1.2 if number else 2.5)
    axes.set(xlabel="value", ylabel=trial.name)
    axes.margins(x=0)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    return figure
