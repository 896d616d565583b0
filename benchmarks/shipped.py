"""The cost of a forecast by each model that ships, by the fused kernel and by TorchScript, in turns.

A request is 230 values and 24 steps. The cost of a step is that of the second half of a rollout of 200 steps. For a
model with anchors, the season is 12.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from benchmarks.peers.registry import sample
from benchmarks.report import Table, Target, number, save, targets
from benchmarks.timing import in_turns
from model import DEFAULT_ARTIFACT
from model.artifact import read_artifact
from model.runtime.base import Runtime
from model.runtime.select import Engine, open_runtime

VALUES, STEPS, SEASON = 230, 24, 12
HALF = 100
REQUEST_US = {"any": 600.0}
STEP_US = {"any": 2.0, "sine": 0.35}
ENGINES: tuple[Engine, ...] = ("fused", "torchscript")


def calls(runtime: Runtime, season: int) -> dict[str, Callable[[], object]]:
    """Return the calls whose times tell the cost of a request and of a step."""
    sequence = sample(VALUES)
    state = runtime.encode([sequence], [runtime.start(sequence, season)])
    return {
        "request": lambda: runtime.forecast(sequence, STEPS, season),
        "half": lambda: runtime.rollout(state, HALF),
        "whole": lambda: runtime.rollout(state, 2 * HALF),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shipped", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="number of rounds, default: 30")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    rows, verdicts = [], []
    for path in sorted(DEFAULT_ARTIFACT.parent.glob("*.pt")):
        artifact = read_artifact(path)
        name, season = artifact.metadata.name, SEASON if artifact.metadata.architecture.inputs == "anchors" else 1
        runtimes = {engine: open_runtime(artifact, "cpu", engine).runtime for engine in ENGINES}
        together = {
            f"{engine} {kind}": call
            for engine, runtime in runtimes.items()
            for kind, call in calls(runtime, season).items()
        }
        least = {key: 1e6 * timing.least for key, timing in in_turns(together, rounds).items()}
        for engine in ENGINES:
            request_us = least[f"{engine} request"]
            step_us = (least[f"{engine} whole"] - least[f"{engine} half"]) / HALF
            rows.append([f"{name}, {engine}", number(request_us), number(step_us)])
            if engine == "fused" and name in REQUEST_US:
                verdicts.append(Target(f"{name}, a request, µs", request_us, REQUEST_US[name], at_most=True))
            if engine == "fused" and name in STEP_US:
                verdicts.append(Target(f"{name}, a step, µs", step_us, STEP_US[name], at_most=True))
    columns = ["model, runtime", f"{VALUES} values and {STEPS} steps, µs", "a step, µs"]
    save("shipped", {"costs": Table(columns, rows), "targets": targets(verdicts)}, {})


if __name__ == "__main__":
    main()
