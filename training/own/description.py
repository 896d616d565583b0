"""The metadata of a model of your own series: its data, its fit and its errors."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from training.own.backtest import Errors
from training.own.data import OwnSeries
from training.own.members import Choice
from training.own.options import Own
from training.own.verdict import MODEL
from training.series import HELD_OUT


def description(own: OwnSeries) -> dict[str, JsonValue]:
    """Describe the data. The description has no file name, because it could identify a person or a place."""
    return {
        "kind": "own",
        "series": len(own.values),
        "points": sum(map(len, own.values.values())),
        "sha256": own.digest,
        "held_out": f"the last {HELD_OUT:.0%} of each series, of which the errors are",
    }


def training(options: Own, own: OwnSeries, choice: Choice | None) -> dict[str, JsonValue]:
    """Describe the fit: what was chosen, and what the written weights have seen."""
    about: dict[str, JsonValue] = {
        "command": command(options),
        "method": "members beside the model any, chosen by backtests",
        "season": own.season,
        "season_found": own.found,
        "horizon": own.horizon,
        "origins": options.origins,
        "fitted_to": "all values" if options.refit else "all values but the held-out part",
    }
    if choice is None:
        return about | {"members": "none: they did not lower the errors of any"}
    return about | {
        "logarithm": choice.logarithm,
        "regressions": [
            f"{len(one.lags)} lags to {max(one.lags)}, less the {one.level}, towards the {one.simple}, ridge {ridge:g}"
            for one, ridge in choice.regressions
        ],
        "cells": [
            "alpha {:.3g}, beta {:.3g}, phi {:.3g}, gamma {:.3g}, delta {:.3g}".format(*rates)
            for rates, _ in choice.cells
        ],
        "backtests": {"with_members": choice.error, "any_alone": choice.error_alone},
    }


def command(options: Own) -> str:
    """Return the command that fits such a model again. It names no files."""
    usual = Own(Path("FILE"))
    changed = {name: getattr(options, name) for name in ("season", "horizon", "origins")}
    told = [f" --{name} {value}" for name, value in changed.items() if value != getattr(usual, name)]
    return f"python -m training --data FILE{''.join(told)}{'' if options.refit else ' --no-refit'}"


def flat(errors: Mapping[str, Errors]) -> dict[str, float]:
    """Return the errors as the metadata have them: the model's first, and others behind their names."""
    rows = {"" if name == MODEL else f"{name.replace(' ', '_')}/": each for name, each in errors.items()}
    return {
        f"{prefix}{measure}": value
        for prefix, each in rows.items()
        for measure, value in each._asdict().items()
        if value == value  # NaN where all series repeat themselves
    }


def golden_sequence(length: int, season: int) -> list[float]:
    """Return a noisy, positive series of this season. The artifact holds it, and none of your values."""
    time_T, noise_T = np.arange(length), np.random.default_rng(length).normal(size=length)
    return [round(float(x), 3) for x in 40 + 10 * np.sin(math.tau * time_T / max(season, 7)) + 3 * noise_T]
