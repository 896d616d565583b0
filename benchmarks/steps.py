"""Shows that a step of a rollout has a constant cost: after 10 or 4,000 values, in a rollout of 10 or 10,000 steps.

A call has a cost before its first step, which exceeds the cost of the steps in a rollout of 10. The script therefore
prints the cost of the second half of a rollout: (time of N steps - time of N/2 steps) / (N/2). It uses the least times
of calls made in turns. Each round is long enough for thousands of short calls.
"""

from __future__ import annotations

import argparse
import tempfile
from math import inf
from pathlib import Path

import torch

from benchmarks.artifacts import untrained
from benchmarks.peers.registry import sample
from benchmarks.report import Table, Target, number, save, targets
from benchmarks.timing import in_turns
from model.artifact import load_module, read_artifact
from model.runtime.base import Runtime
from model.runtime.fused import FusedRuntime
from model.runtime.torchscript import ScriptedRuntime

LENGTHS = (10, 4000)
ROLLOUTS = (10, 100, 1000, 10_000)
BOUND = 1.2


def measure(runtime: Runtime, rounds: int) -> dict[tuple[int, int], float]:
    """Return the seconds a step, by (values before the rollout, steps of the rollout)."""
    states = {length: runtime.encode([sample(length)]) for length in LENGTHS}
    counts = sorted({steps for rollout in ROLLOUTS for steps in (rollout // 2, rollout)})
    timings = in_turns(
        {
            f"{length} {steps}": lambda length=length, steps=steps: runtime.rollout(states[length], steps)  # type: ignore[misc]
            for length in LENGTHS
            for steps in counts
        },
        rounds,
    )

    def least(length: int, steps: int) -> float:
        return timings[f"{length} {steps}"].least

    return {
        (length, rollout): (least(length, rollout) - least(length, rollout // 2)) / (rollout - rollout // 2)
        for length in LENGTHS
        for rollout in ROLLOUTS
    }


def compare(rounds: int, hidden: int = 32) -> tuple[Table, list[Target], dict[str, dict[str, float]]]:
    """Return the table of µs a step, the ratio of the largest to the smallest step of each runtime, and the numbers."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="steps-") as folder:
        artifact = read_artifact(untrained(Path(folder), hidden))
    module = load_module(artifact, torch.device("cpu"))
    runtimes: tuple[Runtime, ...] = (
        FusedRuntime(module, artifact.metadata),
        ScriptedRuntime(module, artifact.metadata, torch.device("cpu")),
    )
    rows, verdicts, data = [], [], {}
    for runtime in runtimes:
        costs = measure(runtime, rounds)
        cheapest = min(costs.values())
        ratio = max(costs.values()) / cheapest if cheapest > 0 else inf  # noise can make a difference of times negative
        for length in LENGTHS:
            cells = [number(costs[length, rollout] * 1e6) for rollout in ROLLOUTS]
            rows.append([f"{runtime.name}, after {length:,} values", *cells])
        verdicts.append(Target(f"dearest step against cheapest, {runtime.name}", ratio, BOUND, at_most=True))
        data[runtime.name] = {f"{length} {rollout}": cost for (length, rollout), cost in costs.items()}
    return Table(["µs a step", *(f"rollout of {steps:,}" for steps in ROLLOUTS)], rows), verdicts, data


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="number of rounds, default: 200")
    table, verdicts, data = compare(parser.parse_args().rounds)
    save("steps", {"steps": table, "targets": targets(verdicts)}, data)


if __name__ == "__main__":
    main()
