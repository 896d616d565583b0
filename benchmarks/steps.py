"""Shows that a step of a rollout costs the same after 10 values as after 4,000, and in a rollout of 10 or of 10,000.

A call costs something before its first step, which in a rollout of 10 is more than the steps themselves. So what is
printed is the cost of the second half of a rollout: (time of N steps - time of N/2 steps) / (N/2), from the least times
of calls made in turns, each round for long enough to hold thousands of short ones.
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
    """Seconds a step, by (values before the rollout, steps of the rollout)."""
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
    """The table of µs a step, the largest step against the smallest for each runtime, and the numbers."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="steps-") as folder:
        artifact = read_artifact(untrained(Path(folder), hidden))
    module = load_module(artifact, torch.device("cpu"))
    runtimes: tuple[Runtime, ...] = (
        FusedRuntime(module, artifact.metadata.architecture),
        ScriptedRuntime(module, artifact.metadata.architecture, torch.device("cpu")),
    )
    rows, verdicts, data = [], [], {}
    for runtime in runtimes:
        costs = measure(runtime, rounds)
        cheapest = min(costs.values())
        ratio = max(costs.values()) / cheapest if cheapest > 0 else inf  # a difference of two times is noise at worst
        for length in LENGTHS:
            cells = [number(costs[length, rollout] * 1e6) for rollout in ROLLOUTS]
            rows.append([f"{runtime.name}, after {length:,} values", *cells])
        verdicts.append(Target(f"dearest step against cheapest, {runtime.name}", ratio, BOUND, at_most=True))
        data[runtime.name] = {f"{length} {rollout}": cost for (length, rollout), cost in costs.items()}
    return Table(["µs a step", *(f"rollout of {steps:,}" for steps in ROLLOUTS)], rows), verdicts, data


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="default: 200")
    table, verdicts, data = compare(parser.parse_args().rounds)
    save("steps", {"steps": table, "targets": targets(verdicts)}, data)


if __name__ == "__main__":
    main()
