"""`python -m training evaluate ARTIFACT` measures an artifact through the runtime that would serve it.

It prints the tables of `training/breakdown.py` and writes them with plots to RUNS/NAME/, beside the loss curve of the
training.

Shape suffixes: B batch, T time, S steps, H all numbers of a state.
"""

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor

from model import DEFAULT_ARTIFACT
from model.artifact import Artifact, read_artifact
from model.intervals import NoInterval
from model.runtime.base import Runtime
from model.runtime.select import open_runtime
from model.series.gaps import Fill
from training.answers import by_family
from training.baselines import Predictor, baselines
from training.breakdown import breakdown, error_by_step
from training.checks import check_folder
from training.data import Floats, Source, Waves
from training.own.backtest import errors_of, forecasts, trials
from training.own.data import FEWEST, held_out_from
from training.own.forecasters import any_series, simple
from training.own.forecasters import served as forecasts_of
from training.own.verdict import MODEL, NAIVE, counted, table
from training.report import HORIZON, PORTRAIT, ROLLOUT, error_curve, phase_portrait, rollout_picture, save_figure, three
from training.series import Series, digest, fewest_points, read
from training.tables import Table

TABLES = "evaluation.md"


@dataclass(frozen=True)
class Evaluate:
    """Measure an artifact on held-out data by horizon, period, length of context and noise, beside baselines."""

    artifact: tyro.conf.Positional[Path] = DEFAULT_ARTIFACT
    """Path of the artifact."""

    data: Path | None = None
    """File that a model of your own series was trained on. The artifact does not contain it, but knows its digest.
    Values that came later may follow at the end of all series: they are measured too.
    """

    column: str | None = None
    """Name of the column of values, as in training."""

    time: str | None = None
    """Name of the column of times, as in training."""

    id: str | None = None
    """Name of the column that names the series of each row, as in training."""

    fill: Fill | None = None
    """Values that close gaps, as in training."""

    runs: Path = Path("runs")
    """Directory of reports. Tables and plots are written to RUNS/NAME/."""


def run(options: Evaluate) -> None:
    """Print the tables, and write them and the plots.

    Raises:
        ArtifactError: the artifact cannot be served.
        ValueError: the artifact needs a file of series, or the file cannot be used.
    """
    artifact = read_artifact(options.artifact)
    directory = options.runs / artifact.metadata.name
    check_folder("runs", directory)
    if artifact.metadata.data.get("kind") == "own":
        (directory / TABLES).write_text(f"{evaluate_own(artifact, options)}\n", "utf-8")
        return
    source = source_of(artifact, options)
    trained: dict[str, Any] = artifact.metadata.training
    context, season = int(trained["context_evaluated"]), trained.get("season")
    runtime = open_runtime(artifact, "cpu").runtime
    model = served(runtime)

    tables = breakdown(model, source, context, season)
    if isinstance(source, Waves):
        with suppress(NoInterval):
            tables.append(by_family(artifact, runtime, source, context))
    text = "\n\n".join(map(str, tables))
    print(text)
    (directory / TABLES).write_text(text + "\n", "utf-8")
    errors = error_by_step({"model": model} | baselines(source, context, season), source, context)
    save_figure(error_curve(errors, source.unit), directory / HORIZON)
    save_figure(rollout_picture(model, source, context), directory / ROLLOUT)
    save_figure(phase_portrait(state_paths(runtime, source, context), context), directory / PORTRAIT)
    print(f"\nwrote {TABLES}, {HORIZON}, {ROLLOUT} and {PORTRAIT} in {directory}/")


def evaluate_own(artifact: Artifact, options: Evaluate) -> Table:
    """Print and return the errors of a model of your own series on values that it has not seen.

    Raises:
        ValueError: there is no file, it is not the one that the model was fitted to, or it has no such values.
    """
    about, trained = artifact.metadata.data, artifact.metadata.training
    if options.data is None:
        raise ValueError("this model was fitted to series that it does not hold: give the file with --data")
    every = read(options.data, options.column, options.time, options.id, options.fill, at_least=1)
    values = {name: x_N for name, x_N in every.items() if len(x_N) >= FEWEST}
    later = later_values(values, about, options.data)
    horizon, season = int(str(trained["horizon"])), artifact.metadata.season or 1
    if trained["fitted_to"] == "all values" and later < horizon:
        raise ValueError(
            f"this model was fitted to all values of the file, so none of them can measure it: {horizon} later values "
            "are needed; python -m training card shows the errors that were measured before, and --no-refit keeps the "
            "held-out part unseen"
        )
    known = {name: len(x_N) - later for name, x_N in values.items()}
    if trained["fitted_to"] != "all values":
        known = {name: held_out_from(length) for name, length in known.items()}
    every_trial = trials(values, known, horizon, int(str(trained["origins"])))
    model = {MODEL: forecasts_of(open_runtime(artifact, "cpu").runtime, season)}
    forecasters = model | {"any": forecasts_of(any_series()[1], season)} | simple(season)
    made = {name: forecasts(forecaster, every_trial, horizon) for name, forecaster in forecasters.items()}
    errors = {name: errors_of(every_trial, each, made[NAIVE], season) for name, each in made.items()}
    count = sum(len(one.origins) for one in every_trial)
    result = table(errors, f"{counted(count, 'forecast')} of values it has not seen:")
    print(result)
    return result


def source_of(artifact: Artifact, options: Evaluate) -> Source:
    """Return the source that the artifact was trained on: waves from its metadata, or the series in `options.data`."""
    about: dict[str, Any] = artifact.metadata.data
    if about.get("kind") == "prior":
        raise ValueError("this model was trained on synthetic series: `python -m training card` shows its errors")
    if about.get("kind") not in ("sine", "series"):
        raise ValueError("the metadata of this artifact does not say what it was trained on, so it cannot be measured")
    if about["kind"] == "sine":
        if options.data is not None:
            raise ValueError("this model was trained on sine waves, and is measured on them: leave out --data")
        ranges = ("period", "phase", "amplitude", "level")
        return Waves(**{name: tuple(about[name]) for name in ranges if name in about})  # older models have no level
    if options.data is None:
        raise ValueError("this model was trained on series that it does not hold: give the file with --data")
    trained: dict[str, Any] = artifact.metadata.training
    horizon = int(trained["horizon"][1])
    at_least = fewest_points(int(trained["context_evaluated"]), horizon)
    values = read(options.data, options.column, options.time, options.id, options.fill, at_least)
    return known_series(values, horizon, about, options.data)


def known_series(values: Mapping[str, Floats], horizon: int, about: Mapping[str, Any], path: Path) -> Series:
    """Return the series that a model was trained on. Equally many values of each that came later are held out, too.

    Args:
        values: the series in the file.
        horizon: number of values of a forecast.
        about: the description of the data in the artifact's metadata.
        path: the file, for messages.

    Raises:
        ValueError: the model was trained on other data, so it cannot be told what it has seen.
    """
    return Series(values, horizon, later_values(values, about, path))


def later_values(values: Mapping[str, Floats], about: Mapping[str, Any], path: Path) -> int:
    """Return the number of values of each series that came after the training. See `known_series`."""
    series, points = len(values), sum(map(len, values.values()))
    more = points - about["points"]
    later = more // series if series == about["series"] and more > 0 and more % series == 0 else 0
    if (series, points - later * series) != (about["series"], about["points"]):
        then, now = _counted(about["points"], about["series"]), _counted(points, series)
        raise ValueError(f"{path} is not what this model was trained on, which had {then}: the file has {now}")
    if "sha256" not in about:
        print(
            f"this artifact has no digest of its data: it cannot be checked that {path} is what it was trained on, "
            "so it may have seen rows that are reported as unseen",
            file=sys.stderr,
        )
    elif digest({name: value_T[: len(value_T) - later] for name, value_T in values.items()}) != about["sha256"]:
        raise ValueError(
            f"{path} is not what this model was trained on: its size fits, but a value, the order or the name of a "
            "series differs"
        )
    if later:
        print(f"{_counted(later * series, series)} came after the training; they count as held out\n")
    return later


def _counted(points: int, series: int) -> str:
    return f"{points:,} values in {series:,} series"


def served(runtime: Runtime) -> Predictor:
    """Return the forecasts of `runtime` as a predictor: the ones that clients of the service get."""

    def predict(x_BT: Tensor, steps: int) -> Tensor:
        values_BS, _ = runtime.rollout(runtime.encode(x_BT.tolist()), steps)
        return torch.from_numpy(values_BS)

    return predict


def state_paths(runtime: Runtime, source: Source, context: int) -> list[tuple[str, Floats]]:
    """Return the states [T + S, H] after each given value and each value of the rollout, of three held-out windows."""
    dataset = source.held_out(context, 1, count=1024)
    steps = min(300, 10 * source.rollouts[-1])
    paths = []
    for label, index in three(dataset):
        sequence = dataset[index][0].tolist()
        states = [runtime.start(sequence)]
        for value in sequence:
            states += runtime.encode([[value]], states[-1:])
        for _ in range(steps):
            states += runtime.rollout(states[-1:], 1)[1]
        path_NH = np.stack([np.ravel(state.memory_LM) for state in states[1:]]).astype(np.float64)
        paths.append((label, path_NH))
    return paths
