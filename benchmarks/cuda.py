"""Measures the CUDA runtime on a card: what it answers, how fast, and how near to the limits of the card.

Four ways to roll out the same states with the weights that ship, all on the card and from the same tensors:

- fused: one launch of `model/runtime/cuda_kernel.py` for all rows and steps;
- TorchScript: the loop of `model/network.py`, a few launches for each step;
- TorchScript, graph: the same launches, recorded once as a CUDA graph and replayed;
- torch.compile: a step of the same loop, compiled by TorchInductor with CUDA graphs, and called for each step.

Beside them stands the CPU's fused runtime, on all cores. First, answers are compared. Last, the server is loaded if its
packages and wrk are there. Time is taken by the card's own events. The script needs torch, numpy, triton and `model/`,
and ends within `--minutes`.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import ROOT, Table, Target, number, save, targets
from model.artifact import Artifact, load_module, read_artifact
from model.runtime.check import check_golden, tolerance
from model.runtime.cuda import CudaRuntime
from model.runtime.fused import FusedRuntime

BATCHES = (1, 64, 1_024, 16_384, 65_536)
STEPS = (100, 1_000)
CUDA = torch.device("cuda")
WAYS = ("fused", "TorchScript", "TorchScript, graph", "torch.compile")
LARGE = (16_384, 1_000)
"""Rows and steps of the targets."""
COMPILED_BATCHES = (1_024, 16_384)
"""TorchInductor compiles anew for each batch, half a minute each time."""

_all_ready: Barrier
Rollout = Callable[[], Callable[[], object]]


def waves(rows: int) -> list[list[float]]:
    """Return `rows` sines of 64 values with periods of 8 to 48, all different."""
    rng = np.random.default_rng(0)
    period_B1, phase_B1 = rng.uniform(8, 48, (rows, 1)), rng.uniform(0, 2 * np.pi, (rows, 1))
    values: list[list[float]] = np.sin(2 * np.pi * np.arange(64) / period_B1 + phase_B1).tolist()
    return values


def seconds(function: Callable[[], object], enough_s: float = 0.5) -> float:
    """Return the median time of a call on the card, after a first call that compiles and allocates."""
    function()
    torch.cuda.synchronize()
    taken: list[float] = []
    while len(taken) < 3 or (sum(taken) < enough_s and len(taken) < 30):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        began.record()
        function()
        ended.record()
        torch.cuda.synchronize()
        taken.append(began.elapsed_time(ended) / 1e3)
    return statistics.median(taken)


def answers(artifact: Artifact, cuda: CudaRuntime, cpu: FusedRuntime) -> Table:
    """Compare the answers of the card with the golden rollouts, with the CPU's, and with themselves in other batches.

    Raises GoldenMismatch, or AssertionError for an answer that is not equal.
    """
    check_golden(cuda, artifact.golden)
    sequences = waves(1_000)
    states = cuda.encode(sequences)
    values_BS, _ = cuda.rollout(states, 1_000)
    expected_BS, _ = cpu.rollout(cpu.encode(sequences), 1_000)
    of_tolerance = np.abs(values_BS - expected_BS) / tolerance(1_000)
    mixed = [sequence[: 1 + row % 64] for row, sequence in enumerate(sequences)]
    together = cuda.encode(mixed)
    after_BS, _ = cuda.rollout(together, 100)
    different = 0
    for size in (1, 7, 65):
        for first in range(0, 260, size):
            own = cuda.encode(mixed[first : first + size])
            own_BS, _ = cuda.rollout(own, 100)
            different += int((own_BS != after_BS[first : first + size]).any(axis=1).sum())
    parts_BS, begun = cuda.rollout(states, 300)
    rest_BS, _ = cuda.rollout(begun, 700)
    in_parts = int((np.hstack([parts_BS, rest_BS]) != values_BS).any(axis=1).sum())
    assert different == 0, f"{different} rows differ when other rows are beside them"  # noqa: S101
    assert in_parts == 0, f"{in_parts} rows differ when they are rolled out in two parts"  # noqa: S101
    return Table(
        ["answers of the card", "seen"],
        [
            ["golden rollouts", "reproduced"],
            [
                "distance to the CPU's fused runtime, 1,000 waves, 100 steps",
                f"{abs(values_BS - expected_BS)[:, :100].max():.1e}",
            ],
            ["the same, 1,000 steps", f"{abs(values_BS - expected_BS).max():.1e}"],
            ["of the tolerance of the golden check, at most", f"{of_tolerance.max():.3f}"],
            ["rows that differ in other batches (780)", str(different)],
            ["rows that differ in two parts (1,000)", str(in_parts)],
        ],
    )


def graph(function: Callable[[], object]) -> Callable[[], object]:
    """Record what `function` launches, and return its replay."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.synchronize()
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded, stream=stream):
        function()
    return recorded.replay


def compiled(module: torch.jit.ScriptModule, state_LBM: Tensor, steps: int) -> Callable[[], object]:
    """Return a rollout whose step is compiled by TorchInductor."""
    weights = {name: value.to(CUDA) for name, value in module.state_dict().items()}
    W_x, W_h, b_x, b_h = (weights[f"rnn.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    W_y, b_y = weights["readout.weight"], weights["readout.bias"]

    def step(h: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.nn.functional.linear(h, W_y, b_y)
        return y, torch.gru_cell(y, h, W_x, W_h, b_x, b_h)

    fast = torch.compile(step, mode="reduce-overhead", dynamic=False)

    def rollout() -> object:
        h, values = state_LBM[0], []
        for _ in range(steps):
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            y, h = fast(h)
            values.append(y.clone())
            h = h.clone()
        return torch.cat(values, dim=1)

    return rollout


def cpu_rate(artifact: Path, cores: int) -> float:
    """Return the steps a second of the CPU's fused runtime in as many processes: threads would share Python's lock."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, spawn, initializer=_meet, initargs=(spawn.Barrier(cores),)) as processes:
        return sum(processes.map(_core_rate, [artifact] * cores))


def _meet(barrier: Barrier) -> None:
    global _all_ready
    _all_ready = barrier


def _core_rate(artifact: Path, enough_s: float = 2.0) -> float:
    read = read_artifact(artifact)
    runtime = FusedRuntime(load_module(read, torch.device("cpu")), read.metadata)
    states, done = runtime.encode(waves(64)), 0
    _all_ready.wait(120)
    began = time.perf_counter()
    while time.perf_counter() < began + enough_s:
        runtime.rollout(states, 1_000)
        done += 64_000
    return done / (time.perf_counter() - began)


def ceilings() -> tuple[float, float]:
    """Return the card's copy bandwidth in bytes a second, read and written, and its float32 rate without tf32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    source = torch.randn(1 << 30, device=CUDA)
    bandwidth = 2 * source.numel() * 4 / seconds(source.clone)
    matrix = torch.randn(8_192, 8_192, device=CUDA)
    rate: float = 2 * 8_192**3 / seconds(lambda: matrix @ matrix)
    return bandwidth, rate


def latency(cuda: CudaRuntime) -> list[list[str]]:
    """Return the time of calls from Python's lists to NumPy's arrays, both copies included."""
    rows = []
    for batch, steps in ((1, 1), (1, 100), (1, 1_000), (64, 100), (1_024, 100)):
        sequences, taken = waves(batch), []
        for _ in range(20):
            began = time.perf_counter()
            cuda.rollout(cuda.encode(sequences), steps)
            taken.append(time.perf_counter() - began)
        rows.append([f"{batch:,} x (64 values + {steps:,} steps)", f"{1e3 * statistics.median(taken):.3f}"])
    return rows


def ways(cuda: CudaRuntime, module: torch.jit.ScriptModule, batch: int, steps: int) -> dict[str, Rollout]:
    """Return the ways to roll out the states of `batch` waves, each as a function that prepares the rollout."""
    memory_BLM = np.stack([state.memory_LM for state in cuda.encode(waves(min(batch, 1_024)))])
    memory_BLM = memory_BLM[np.arange(batch) % len(memory_BLM)]
    state_LBM = torch.from_numpy(memory_BLM.swapaxes(0, 1).copy()).to(CUDA)
    before_BLPH = torch.from_numpy(cuda.padded(memory_BLM)).to(CUDA)
    nothing_BT, length_B = torch.zeros(batch, 0, device=CUDA), torch.zeros(batch, dtype=torch.int32, device=CUDA)

    @torch.inference_mode()
    def scripted() -> object:
        return module.rollout(state_LBM, steps, [])

    return {
        "fused": lambda: lambda: cuda.loop(before_BLPH, steps, nothing_BT, length_B),
        "TorchScript": lambda: scripted,
        "TorchScript, graph": lambda: graph(scripted),
        "torch.compile": lambda: compiled(module, state_LBM, steps),
    }


def rates(cuda: CudaRuntime, module: torch.jit.ScriptModule, ends: float) -> dict[tuple[str, int, int], float]:
    """Return the steps a second of each way, batch and number of steps that is measured before the time `ends`."""
    measured: dict[tuple[str, int, int], float] = {}
    for steps, batch in itertools.product(STEPS, BATCHES):
        for way, prepare in ways(cuda, module, batch, steps).items():
            if time.monotonic() > ends or (way == "torch.compile" and batch not in COMPILED_BATCHES):
                continue
            try:
                measured[way, batch, steps] = batch * steps / seconds(prepare())
            except Exception as error:  # one way that fails is said, and must not cost the others
                print(f"{way}, {batch} rows, {steps} steps: {type(error).__name__}: {error}"[:400], flush=True)
            torch.cuda.empty_cache()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    parser.add_argument("--artifact", type=Path, default=ROOT / "model" / "artifacts" / "sine.pt")
    parser.add_argument("--minutes", type=float, default=6.0, help="begin no more measurements after so many minutes")
    arguments = parser.parse_args()
    ends = time.monotonic() + 60 * arguments.minutes
    artifact = read_artifact(arguments.artifact)
    architecture = artifact.metadata.architecture
    module = load_module(artifact, CUDA)
    began = time.perf_counter()
    cuda = CudaRuntime(module, artifact.metadata, CUDA)
    compile_s = time.perf_counter() - began
    cpu = FusedRuntime(load_module(artifact, torch.device("cpu")), artifact.metadata)

    tables = {"answers": answers(artifact, cuda, cpu)}
    bandwidth, float_rate = ceilings()
    cores = len(os.sched_getaffinity(0))
    cpu_steps = cpu_rate(arguments.artifact, cores)
    measured = rates(cuda, module, ends)
    tables["speed"] = Table(
        ["rows x steps, million steps/s", *WAYS],
        [
            [
                f"{batch:,} x {steps:,}",
                *(number(measured[key] / 1e6) if (key := (way, batch, steps)) in measured else "-" for way in WAYS),
            ]
            for steps, batch in itertools.product(STEPS, BATCHES)
        ],
    )
    best, scripted = measured["fused", *LARGE], measured["TorchScript", *LARGE]
    # A step of a row multiplies by three gates and by the readout, and adds x to each gate. It writes one number.
    operations, written = 2 * (3 * architecture.hidden**2 + 4 * architecture.hidden), 4
    tables["limits"] = Table(
        ["limit", "measured", "fused", "of the limit"],
        [
            ["copy, GB/s", *of_limit(best * written / 1e9, bandwidth / 1e9)],
            ["float32, TFLOP/s", *of_limit(best * operations / 1e12, float_rate / 1e12)],
        ],
    )
    tables["calls"] = Table(["one call of encode and rollout", "ms"], latency(cuda))
    tables["targets"] = targets(
        [
            Target("billion steps/s, 16,384 rows, 1,000 steps", best / 1e9, 1),
            Target("the same, over TorchScript on the card", best / scripted, 20),
            Target("the same, over all cores of the CPU beside it", best / cpu_steps, 30),
            Target("one rollout of 1,000 steps, ms", 1e6 / measured["fused", 1, 1_000], 5, at_most=True),
        ]
    )
    if find_spec("fastapi") and time.monotonic() < ends:
        tables["server"] = under_load(arguments.artifact)
    card = torch.cuda.get_device_properties(CUDA)
    tables["card"] = Table(
        ["", "cuda"],
        [
            ["card", f"{card.name}, {card.multi_processor_count} multiprocessors"],
            ["beside it", f"{cores} cores, {number(cpu_steps / 1e6)} million steps/s"],
            ["packages", f"torch {torch.__version__}, triton {version('triton')}"],
            ["network", f"{architecture.cell} of {architecture.hidden} units, {architecture.layers} layer"],
            ["first launch, with the kernel's compilation", f"{compile_s:.1f} s"],
        ],
    )
    save("cuda", tables, {"rates": [[*key, rate] for key, rate in measured.items()], "cpu": cpu_steps})


def of_limit(reached: float, limit: float) -> list[str]:
    """Return the cells of a limit: itself, what is reached of it, and the share."""
    return [number(limit), number(reached), f"{reached / limit:.1%}"]


def under_load(artifact: Path) -> Table:
    """Return requests a second and latencies of the server on the card, and on the CPU of the same machine."""
    from benchmarks.load import drive
    from benchmarks.own import own
    from benchmarks.peers.serving import serving
    from benchmarks.rounds import Load

    rows = []
    for device in ("cuda", "cpu"):
        try:
            with serving(own(device=device, workers=1, max_batch=1_024), Path(sys.executable), artifact) as served:
                for name, load in (
                    ("/predict, 1 connection", Load(1)),
                    ("/predict, 64 connections", Load(64)),
                    ("/generate of 1,000 steps, 1 connection", Load(1, steps=1_000)),
                    ("/generate of 1,000 steps, 64 connections", Load(64, steps=1_000)),
                ):
                    call = own().generate if load.steps else own().predict
                    assert call is not None  # noqa: S101
                    measured = drive(served, call, load.body(call), load.connections, 4, attempts=1)
                    rows.append([f"{device}: {name}", *measured.cells(), str(measured.errors)])
        except Exception as error:  # the rest of the measurements must not be lost
            print(f"server on {device}: {type(error).__name__}: {error}"[-1500:], flush=True)
    return Table(["server, one worker", "answers/s", "p50 ms", "p99 ms", "errors"], rows)


if __name__ == "__main__":
    main()
