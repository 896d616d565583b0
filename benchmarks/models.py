"""Trains the article's model and the default one, each from several seeds, and checks their targets.

It also trains networks of other cells, sizes and layers with a shorter schedule, the same for all, to compare their
cost and accuracy. Every training is its own command, `python -m training …`; two run at a time on two cores. Artifacts
and reports go to runs/models/. A model that exists there is measured again but not trained; delete its folder to train
it again. Fills the tables of docs/models.md. Takes hours if runs/models/ is empty.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import document
from benchmarks.accuracy import LONGEST, SNR_DB, STEPS_SHOWN, context_errors, coverage_errors, step_us, wave_errors
from benchmarks.report import ROOT, Table, number, save
from benchmarks.sequences import sequence_table
from model import DEFAULT_ARTIFACT
from model.artifact import Artifact, read_artifact
from model.metadata import Architecture
from model.runtime.select import open_runtime
from training.article import largest_errors
from training.breakdown import CONTEXTS
from training.card import coverage_tables
from training.config import PRESETS, Preset
from training.evaluate import served
from training.report import LOSS

FOLDER = ROOT / "runs" / "models"
PICTURE = ROOT / "docs" / "images" / "article-loss.png"
COVERAGE_LEVELS = (80, 95)
SHORTER = ("--epochs", "30", "--finish", "10", "--finish-horizons", "1", "8", "32")
"""The comparison of networks trains with these options of the finish."""
NETWORKS = (
    Architecture(cell="rnn", hidden=56),
    Architecture(cell="lstm", hidden=27),
    Architecture(cell="gru", hidden=18, layers=2),
    Architecture(cell="gru", hidden=24),
    Architecture(cell="gru", hidden=32),
)
"""The networks of the comparison. All but gru 24 have about as many weights."""


@dataclass(frozen=True)
class Bound:
    """A target: the measurement `key` must be at most `bound`. An infinite bound only shows the measurement."""

    what: str
    key: str
    bound: float


BOUNDS: dict[Preset, tuple[Bound, ...]] = {
    "article": (
        Bound("first stage: next value after an unseen window", "adam_predicted", math.inf),
        Bound("the true value", "adam_true", math.inf),
        Bound("next value, largest error", "next_value_max", 1e-4),
        Bound("1,000 steps, largest error", "rollout_1000_max", 1e-3),
        Bound("10,000 steps, largest error", "rollout_10000_max", 2e-3),
        Bound("training, minutes of one core", "minutes", 10),
    ),
    "default": (
        Bound("next value, RMSE", "rmse_1_to_48", 1e-4),
        Bound("100 steps, RMSE", "rmse_100_to_48", 5e-4),
        Bound("1,000 steps, RMSE", "rmse_1000_to_48", 1e-2),
        Bound("100 steps from 16 values, periods of 8 to 12", "rmse_100_from_16", 5e-2),
        *(
            Bound(f"{what} at {snr} dB, against the best sine", f"noise_{snr}_{steps}_to_48", 1.25)
            for steps, what in STEPS_SHOWN.items()
            for snr in SNR_DB
        ),
        Bound("coverage at any noise from 64 values on, most points off", "coverage_off", 2),
        Bound("coverage at any noise from fewer values, most points off", "coverage_off_short", math.inf),
        Bound("other kinds outside of their 95 %, most per cent", "families_outside", 50),
        Bound("a step in the fused kernel, µs", "step_us", 0.35),
        Bound("training, minutes of one core", "minutes", math.inf),
    ),
}
"""The bounds of the default model are for periods of 8 to 48 samples."""

WIDER = (
    Bound("next value, RMSE", "rmse_1_to_64", math.inf),
    Bound("100 steps, RMSE", "rmse_100_to_64", math.inf),
    Bound("1,000 steps, RMSE", "rmse_1000_to_64", math.inf),
    *(
        Bound(f"{what} at {snr} dB, against the best sine", f"noise_{snr}_{steps}_to_64", math.inf)
        for steps, what in STEPS_SHOWN.items()
        for snr in SNR_DB
    ),
)
"""The same measurements for all periods of the training, 8 to 64 samples: 64 values contain the longest only once."""


@dataclass(frozen=True)
class Model:
    """A model and the options of its training."""

    name: str
    options: tuple[str, ...]

    @property
    def artifact(self) -> Path:
        return FOLDER / self.name / "model.pt"

    def train(self) -> None:
        """Train the model, unless an earlier run has trained it."""
        took = self.artifact.with_name("seconds.json")
        if took.exists():
            return
        self.artifact.parent.mkdir(parents=True, exist_ok=True)
        # An artifact without `took` is that of a benchmark that was interrupted.
        given = [*self.options, "--output", str(self.artifact), "--overwrite", "--runs", str(self.artifact.parent)]
        print(f"{self.name}: python -m training {' '.join(self.options)}", flush=True)
        with self.artifact.with_name("log").open("w") as log:
            command = [sys.executable, "-m", "training", *given]
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603
            _, status, used = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"{self.name} failed: see {log.name}")
        took.write_text(json.dumps(used.ru_utime + used.ru_stime))

    def after_adam(self) -> dict[str, float]:
        """Return the next value that the article's model has predicted after Adam, and the true one."""
        log = self.artifact.with_name("log")
        found = re.search(r"^after \d+ epochs with Adam: predicted (\S+) for (\S+) ", log.read_text(), re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{log} is not from this version: delete its folder")
        return {"adam_predicted": float(found[1]), "adam_true": float(found[2])}

    @property
    def minutes(self) -> float:
        """Return the minutes of processor time of the training, which computes on one core. Other processes do not
        count.
        """
        return float(json.loads(self.artifact.with_name("seconds.json").read_text())) / 60


def of_seed(preset: Preset, seed: int) -> Model:
    return Model(f"{preset}-{seed}", ("--preset", preset, "--seed", str(seed)))


def shorter(architecture: Architecture) -> Model:
    """Return a model with the shorter schedule and twice as many rows as weights, as the default has."""
    name = f"{architecture.cell}-{architecture.hidden}x{architecture.layers}"
    shape = ("--cell", architecture.cell, "--hidden", str(architecture.hidden), "--layers", str(architecture.layers))
    rows = ("--finish-rows", str(2 * architecture.parameters))
    return Model(name, (*shape, *SHORTER, *rows, "--interval-rollouts", "0"))


def measured(model: Model, preset: Preset) -> dict[str, float]:
    """Return the errors of the served forecasts, the cost of a step and the time of the training."""
    artifact = read_artifact(model.artifact)
    runtime = open_runtime(artifact, "cpu", "fused").runtime
    values = artifact.metadata.errors | {"minutes": model.minutes, "step_us": step_us(runtime)}
    config = PRESETS[preset]
    if preset == "article":
        largest = largest_errors(served(runtime), config.waves.period[0], config.context_evaluated)
        return values | largest | model.after_adam()
    return values | wave_errors(runtime, config.waves, config.context_evaluated) | coverage_errors(artifact)


def target_table(bounds: Sequence[Bound], runs: Sequence[dict[str, float]]) -> Table:
    """Tabulate each measurement of each seed, with its target if it has one."""
    seeds = [f"seed {seed}" for seed in range(len(runs))]
    rows = [[bound.what, *(small(run[bound.key]) for run in runs)] for bound in bounds]
    if not any(math.isfinite(bound.bound) for bound in bounds):
        return Table(["", *seeds], rows)
    for row, bound in zip(rows, bounds, strict=True):
        met = f"{sum(run[bound.key] <= bound.bound for run in runs)} of {len(runs)}"
        target, verdict = (f"≤ {small(bound.bound)}", met) if math.isfinite(bound.bound) else ("", "")
        row[:] = [row[0], target, *row[1:], verdict]
    return Table(["", "target", *seeds, "met by"], rows)


def network_table(models: Sequence[tuple[Architecture, dict[str, float]]]) -> Table:
    """Tabulate the cost and the accuracy of each network after the shorter training."""
    keys = ("step_us", "minutes", "rmse_1_to_48", "rmse_100_to_48", "noise_30_1_to_48")
    rows = [
        [
            f"{shape.cell} {shape.hidden}" + (f", {shape.layers} layers" if shape.layers > 1 else ""),
            f"{shape.parameters:,}",
            *(small(values[key]) for key in keys),
        ]
        for shape, values in models
    ]
    columns = ["", "weights", "µs a step", "minutes", "next value", "100 steps", "next value at 30 dB"]
    return Table(columns, rows)


def context_table(artifact: Artifact) -> Table:
    """Tabulate the errors by the number of given values."""
    runtime, waves = open_runtime(artifact, "cpu", "fused").runtime, PRESETS["default"].waves
    rows = [[f"{context}", *map(small, context_errors(runtime, waves, context))] for context in CONTEXTS]
    return Table(["values given", *(f"periods of 8 to {longest}" for longest in (12, *LONGEST))], rows)


def coverage_of(artifact: Artifact) -> dict[str, Table]:
    """Return tables of the coverage in the metadata: by noise, and on other families. The card has more levels."""
    about = artifact.metadata.intervals
    assert about is not None  # noqa: S101
    coverage = [row for row in about.coverage if row.level in COVERAGE_LEVELS]
    names = ("coverage", "coverage_furthest", "families", "families_furthest")
    return {
        name: Table(
            [table.first, *table.columns],
            [[row, *(f"{held:.1f}" for held in shares)] for row, shares in table.rows.items()],
        )
        for name, table in zip(names, coverage_tables(coverage), strict=True)
    }


def small(value: float) -> str:
    """Format a number with two or three significant digits."""
    return number(value) if abs(value) >= 1e-2 else f"{value:.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument(
        "--article-seeds", type=int, default=5, help="number of seeds of the article's model, default: 5"
    )
    parser.add_argument("--default-seeds", type=int, default=2, help="number of seeds of the default model, default: 2")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    default = [of_seed("default", seed) for seed in range(chosen.default_seeds)]
    article = [of_seed("article", seed) for seed in range(chosen.article_seeds)]
    others = [shorter(architecture) for architecture in NETWORKS]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as trainers:
        list(trainers.map(Model.train, [*default, *others, *article]))
    runs: dict[Preset, list[dict[str, float]]] = {
        "article": [measured(model, "article") for model in article],
        "default": [measured(model, "default") for model in default],
    }
    compared = [(shape, measured(model, "default")) for shape, model in zip(NETWORKS, others, strict=True)]
    tables: dict[str, Table] = {preset: target_table(BOUNDS[preset], values) for preset, values in runs.items()}
    shown = read_artifact(DEFAULT_ARTIFACT)
    tables |= {"wider": target_table(WIDER, runs["default"]), "contexts": context_table(shown)}
    tables |= {"sequences": sequence_table(shown), "networks": network_table(compared)} | coverage_of(shown)
    shutil.copyfile(article[0].artifact.parent / "article" / LOSS, PICTURE)
    save("models", tables, {**runs, "networks": [[shape.model_dump(), values] for shape, values in compared]})
    document.main([])


if __name__ == "__main__":
    main()
