"""The metadata of a model of your own series: its data, its fit and its errors."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from training.own.backtest import Errors
from training.own.choice import TOO_FEW
from training.own.data import OwnSeries
from training.own.members import Choice
from training.own.options import Own
from training.own.pieces import pieces_of
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


def without_members(own: OwnSeries, choices: Sequence[Choice]) -> str:
    """Return why a model has no members, although these were chosen."""
    known = own.known_values
    if choices:
        return "those that lowered the errors of any need logarithms, which some values do not have"
    if sum(map(len, known)) <= TOO_FEW or not pieces_of(known, own.season, own.horizon):
        return "too few values change before the held-out part to choose members"
    return "no members lowered the errors of any, or there are too few seasons for them"


def training(options: Own, own: OwnSeries, choice: Choice | str) -> dict[str, JsonValue]:
    """Describe the fit: what was chosen, or why nothing was, and what the written weights have seen."""
    about: dict[str, JsonValue] = {
        "command": command(options),
        "method": "members beside the model any, chosen by backtests",
        "season": own.season,
        "season_found": own.found,
        "horizon": own.horizon,
        "origins": options.origins,
        "fitted_to": "all values" if options.refit else "all values but the held-out part",
    }
    if isinstance(choice, str):
        return about | {"members": f"none: {choice}"}
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
