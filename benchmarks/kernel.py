"""Compares the fused kernel with the same loop in C, with TorchScript, and with encoding the window again.

The C code is benchmarks/kernel.c, built by `gcc -O3 -march=native -ffast-math` with cell and hidden size as constants
and called through ctypes. All implementations roll out one sequence with the same weights, in turns. First, their
values must agree. The script prints microseconds a step: the least and the median of the rounds. Ratios compare the
least times.
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
from model.metadata import CellKind
from model.runtime.base import State
from model.runtime.fused import FusedRuntime, aligned_zeros
from model.runtime.torchscript import ScriptedRuntime

NETWORKS: tuple[tuple[CellKind, int], ...] = (
    *(("rnn", hidden) for hidden in (32, 64, 128)),
    *((cell, hidden) for cell in ("gru", "lstm") for hidden in (32, 64)),
)
STEP_US: dict[tuple[CellKind, int], float] = {("gru", 64): 0.8, ("lstm", 64): 1.0}
"""A step may take at most this many microseconds."""
STEPS = 4096
REENCODED_STEPS = 16
"""A rollout that encodes the window again has this many steps: one such step takes as long as about a thousand others.
"""

Rollout = Callable[[], object]


class CompilerMissing(RuntimeError):
    """gcc is not installed."""


def c_rollout(
    folder: Path, cell: CellKind, hidden: int, columns: int, module: torch.jit.ScriptModule, start: State
) -> Rollout:
    """Build benchmarks/kernel.c for one layer. Return a function that computes the values of a rollout from `start`."""
    gcc = shutil.which("gcc")
    if gcc is None:
        raise CompilerMissing("gcc is not installed, so the kernel cannot be compared with C")
    library = folder / f"kernel-{cell}-{hidden}-{columns}.so"
    source = Path(__file__).with_suffix(".c")
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    flags += [f"-DCELL={cell.upper()}", f"-DHIDDEN={hidden}", f"-DCOLUMNS={columns}"]
    subprocess.run([gcc, *flags, str(source), "-o", str(library)], check=True, timeout=60)  # noqa: S603
    call = ctypes.CDLL(str(library)).rollout
    call.restype = None

    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    stored = [weights[f"rnn.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    with torch.inference_mode():
        W_x_G1, W_h_GH, b_x_G, b_h_G = [tensor.numpy() for tensor in module.fold()] or stored
    matrix_HG = aligned_zeros(*W_h_GH.T.shape)
    matrix_HG[:] = W_h_GH.T
    input_G, readout_H = np.ascontiguousarray(W_x_G1[:, 0]), np.ascontiguousarray(weights["readout.weight"][0])

    def pointer(array: np.ndarray[tuple[int, ...], np.dtype[np.float32 | np.float64]]) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def rollout() -> object:
        memory_M, values_S = start.memory_LM[0].copy(), np.empty(STEPS)
        call(
            *(pointer(memory_M), pointer(values_S), ctypes.c_long(STEPS), ctypes.c_double(start.scale)),
            *(pointer(input_G), pointer(matrix_HG), pointer(b_x_G), pointer(b_h_G)),
            *(pointer(readout_H), ctypes.c_float(weights["readout.bias"][0])),
        )
        return start.level + values_S

    return rollout


def measure(folder: Path, cell: CellKind, hidden: int, rounds: int) -> dict[str, Timing]:
    """Return the seconds a step of each implementation. Raise ArithmeticError if their values differ."""
    path = untrained(folder, hidden, cell=cell)
    artifact = read_artifact(path)
    module = load_module(artifact, torch.device("cpu"))
    fused = FusedRuntime(module, artifact.metadata)
    scripted = ScriptedRuntime(module, artifact.metadata, torch.device("cpu"))
    [start] = fused.encode([sample()])
    forecaster = Forecaster(str(path))
    ways: dict[str, tuple[Rollout, int]] = {
        "C": (c_rollout(folder, cell, hidden, 1, module, start), STEPS),
        "C, eight columns": (c_rollout(folder, cell, hidden, 8, module, start), STEPS),
        "fused": (lambda: fused.rollout([start], STEPS)[0][0], STEPS),
        "TorchScript": (lambda: scripted.rollout([start], STEPS)[0][0], STEPS),
    }
    expected = np.asarray(ways["fused"][0]())
    for name, (rollout, _) in ways.items():
        if not np.allclose(np.asarray(rollout())[:100], expected[:100], atol=1e-4):
            raise ArithmeticError(f"{name} and the fused kernel compute different values")
    ways["encoding the window again"] = (lambda: forecaster.generate(sample(), REENCODED_STEPS), REENCODED_STEPS)
    timings = in_turns({name: rollout for name, (rollout, _) in ways.items()}, rounds)
    return {name: Timing(took.least / ways[name][1], took.median / ways[name][1]) for name, took in timings.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernel", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="number of rounds, default: 200")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    rows, verdicts, data = [], [], {}
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        for cell, hidden in NETWORKS:
            name = f"{cell} {hidden}"
            timings = measure(Path(folder), cell, hidden, rounds)
            fused, reference = timings["fused"], min(timings["C"].least, timings["C, eight columns"].least)
            for way, took in timings.items():
                ratio = number(took.least / reference)
                rows.append([f"{name}: {way}", number(took.least * 1e6), number(took.median * 1e6), ratio])
            verdicts.append(Target(f"a step of {name}, against C", fused.least / reference, 1.5, at_most=True))
            if (cell, hidden) in STEP_US:
                verdicts.append(Target(f"a step of {name}, µs", fused.least * 1e6, STEP_US[cell, hidden], at_most=True))
            data[name] = {way: {"least_s": took.least, "median_s": took.median} for way, took in timings.items()}
    columns = ["cell and hidden units: way", "µs a step, least", "median", "against the faster C"]
    save("kernel", {"steps": Table(columns, rows), "targets": targets(verdicts)}, data)


if __name__ == "__main__":
    main()
