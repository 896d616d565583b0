"""A step of a rollout in the fused kernel, against the same loop in C, TorchScript, and encoding a window again.

The C is benchmarks/kernel.c, built by `gcc -O3 -march=native -ffast-math` with the hidden size as a constant and called
through ctypes. All of them roll out one sequence with the same weights, in turns; what is printed is microseconds a
step, the least and the median of the rounds. Ratios are of the least times. First, all four have to agree.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.artifacts import untrained
from benchmarks.peers.forecaster import Forecaster
from benchmarks.peers.registry import sample
from benchmarks.report import Table, Target, number, save, targets
from benchmarks.timing import Timing, in_turns
from model.artifact import load_module, read_artifact
from model.fused import FusedRuntime, aligned_zeros
from model.runtime import State
from model.scripted import ScriptedRuntime

HIDDEN = (32, 64, 128)
STEPS = 4096
REENCODED_STEPS = 16
"""A step that encodes a window again takes about as long as a thousand others."""

Rollout = Callable[[], object]


class CompilerMissing(RuntimeError):
    """There is no gcc."""


def c_rollout(folder: Path, hidden: int, columns: int, module: torch.jit.ScriptModule, start: State) -> Rollout:
    """Builds benchmarks/kernel.c for `hidden` units; calling it returns the values of a rollout from `start`."""
    gcc = shutil.which("gcc")
    if gcc is None:
        raise CompilerMissing("gcc is not installed: there is nothing to compare with")
    library = folder / f"kernel-{hidden}-{columns}.so"
    source = Path(__file__).with_suffix(".c")
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", f"-DHIDDEN={hidden}", f"-DCOLUMNS={columns}"]
    subprocess.run([gcc, *flags, str(source), "-o", str(library)], check=True, timeout=60)  # noqa: S603
    call = ctypes.CDLL(str(library)).rollout
    call.restype = None

    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    with torch.inference_mode():
        feedback_HH, folded_H = (tensor.numpy() for tensor in module.fold())
    matrix_HH = aligned_zeros(hidden, hidden)
    matrix_HH[:] = (weights["rnn.weight_hh_l0"] + feedback_HH).T
    bias_H, readout_H = np.ascontiguousarray(folded_H), np.ascontiguousarray(weights["readout.weight"][0])

    def pointer(array: np.ndarray[tuple[int, ...], np.dtype[np.float32 | np.float64]]) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def rollout() -> object:
        h_H, values_S = start.hidden_LH[0].copy(), np.empty(STEPS)
        call(
            *(pointer(h_H), pointer(values_S), ctypes.c_long(STEPS), ctypes.c_double(start.scale)),
            *(pointer(matrix_HH), pointer(bias_H), pointer(readout_H), ctypes.c_float(weights["readout.bias"][0])),
        )
        return values_S

    return rollout


def measure(folder: Path, hidden: int, rounds: int) -> dict[str, Timing]:
    """Seconds a step of each way. Raises ArithmeticError if they do not compute the same."""
    path = untrained(folder, hidden)
    artifact = read_artifact(path)
    module = load_module(artifact, torch.device("cpu"))
    fused = FusedRuntime(module, artifact.metadata.architecture)
    scripted = ScriptedRuntime(module, artifact.metadata.architecture, torch.device("cpu"))
    [start] = fused.encode([sample()])
    forecaster = Forecaster(str(path))
    ways: dict[str, tuple[Rollout, int]] = {
        "C": (c_rollout(folder, hidden, 1, module, start), STEPS),
        "C, eight columns": (c_rollout(folder, hidden, 8, module, start), STEPS),
        "fused": (lambda: fused.rollout([start], STEPS)[0][0], STEPS),
        "TorchScript, folded": (lambda: scripted.rollout([start], STEPS)[0][0], STEPS),
    }
    expected = np.asarray(ways["fused"][0]())
    for name, (rollout, _) in ways.items():
        if not np.allclose(np.asarray(rollout())[:100], expected[:100], atol=1e-4):
            raise ArithmeticError(f"{name} computes something else than the fused kernel")
    ways["encoding the window again"] = (lambda: forecaster.generate(sample(), REENCODED_STEPS), REENCODED_STEPS)
    timings = in_turns({name: rollout for name, (rollout, _) in ways.items()}, rounds)
    return {name: Timing(took.least / ways[name][1], took.median / ways[name][1]) for name, took in timings.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernel", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="default: 200")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    rows, verdicts, data = [], [], {}
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        for hidden in HIDDEN:
            timings = measure(Path(folder), hidden, rounds)
            fused, reference = timings["fused"], min(timings["C"].least, timings["C, eight columns"].least)
            for name, took in timings.items():
                ratio = number(took.least / reference)
                rows.append([f"{hidden}: {name}", number(took.least * 1e6), number(took.median * 1e6), ratio])
            verdicts.append(Target(f"a step of {hidden} units, against C", fused.least / reference, 1.5, at_most=True))
            data[hidden] = {name: {"least_s": took.least, "median_s": took.median} for name, took in timings.items()}
    columns = ["hidden units: way", "µs a step, least", "median", "against the faster C"]
    save("kernel", {"steps": Table(columns, rows), "targets": targets(verdicts)}, data)


if __name__ == "__main__":
    main()
