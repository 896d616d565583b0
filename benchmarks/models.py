"""Trains the article's model and the default one, each from several seeds, and checks their targets.

It also trains networks of other cells, sizes and layers with a shorter schedule, the same for all, to compare their
cost and accuracy. Every training is its own command, `python -m training …`; two run at a time on two cores. Artifacts
and reports go to runs/models/. A model that exists there is measured again but not trained; delete its folder to train
it again. Fills the tables of docs/models.md. Takes an hour and a half on two cores if runs/models/ is empty.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import document
from benchmarks.report import ROOT, Table, number, save
from benchmarks.timing import in_turns
from model.artifact import Artifact, read_artifact
from model.metadata import Architecture
from model.runtime.base import Runtime
from model.runtime.select import open_runtime
from training.article import largest_errors
from training.baselines import one_sine
from training.breakdown import by_context, by_noise
from training.config import PRESETS, Preset
from training.data import Waves
from training.evaluate import served

FOLDER = ROOT / "runs" / "models"
STEPS = 4096
SHORTER = ("--finish", "10", "--finish-horizons", "1", "8", "32")
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
        Bound("next value, largest error", "next_value_max", 1e-4),
        Bound("1,000 steps, largest error", "rollout_1000_max", 1e-3),
        Bound("10,000 steps, largest error", "rollout_10000_max", 2e-3),
        Bound("training, minutes of one core", "minutes", 10),
    ),
    "default": (
        Bound("next value, RMSE", "next_value_rmse", 1e-4),
        Bound("100 steps, RMSE", "rollout_100_rmse", 5e-4),
        Bound("1,000 steps, RMSE", "rollout_1000_rmse", 1e-2),
        *(
            Bound(f"{what} at {snr} dB, against the best sine", f"noise_{snr}_{steps}", 1.25)
            for what, steps in (("next value", 1), ("100 steps", 100))
            for snr in (40, 30, 20)
        ),
        Bound("a step in the fused kernel, µs", "step_us", 0.35),
        Bound("training, minutes of one core", "minutes", math.inf),
    ),
}


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
        return values | largest_errors(served(runtime), config.waves.period[0], config.context_evaluated)
    return values | noise_ratios(runtime, config.waves, config.context_evaluated)


def noise_ratios(runtime: Runtime, waves: Waves, context: int) -> dict[str, float]:
    """Return the errors from noisy sequences, divided by the errors of the sine that fits each sequence best."""
    ratios = {}
    for steps in (1, 100):
        table = by_noise({"model": served(runtime), "best": one_sine}, waves, context, steps)
        for name, (error, best) in table.rows.items():
            if name != "none":
                ratios[f"noise_{name.removesuffix(' dB')}_{steps}"] = error / best
    return ratios


def step_us(runtime: Runtime) -> float:
    """Return the microseconds of one step of a rollout."""
    [start] = runtime.encode([[math.sin(0.2 * t) for t in range(64)]])
    return in_turns({"rollout": lambda: runtime.rollout([start], STEPS)})["rollout"].least / STEPS * 1e6


def target_table(preset: Preset, runs: Sequence[dict[str, float]]) -> Table:
    """Tabulate each target and the measurement of each seed."""
    rows = []
    for bound in BOUNDS[preset]:
        values = [run[bound.key] for run in runs]
        met = f"{sum(value <= bound.bound for value in values)} of {len(runs)}"
        verdict = (f"≤ {small(bound.bound)}", met) if math.isfinite(bound.bound) else ("", "")
        rows.append([bound.what, verdict[0], *map(small, values), verdict[1]])
    return Table(["", "target", *(f"seed {seed}" for seed in range(len(runs))), "met by"], rows)


def network_table(models: Sequence[tuple[Architecture, dict[str, float]]]) -> Table:
    """Tabulate the cost and the accuracy of each network after the shorter training."""
    keys = ("step_us", "minutes", "next_value_rmse", "rollout_100_rmse", "noise_30_1")
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
    runtime, config = open_runtime(artifact, "cpu").runtime, PRESETS["default"]
    table = by_context(served(runtime), config.waves, config.context_evaluated, None)
    column = list(table.columns).index("model")
    return Table(
        ["values given", "RMSE over 100 steps"], [[n, small(errors[column])] for n, errors in table.rows.items()]
    )


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
    tables: dict[str, Table] = {preset: target_table(preset, values) for preset, values in runs.items()}
    tables |= {"networks": network_table(compared), "contexts": context_table(read_artifact(default[0].artifact))}
    save("models", tables, {**runs, "networks": [[shape.model_dump(), values] for shape, values in compared]})
    document.main([])


if __name__ == "__main__":
    main()
