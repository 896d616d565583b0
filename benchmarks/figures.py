"""Draws the figures of docs/performance.md from the measurements in runs/bench/, as SVG files in docs/images/."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from benchmarks.report import ROOT, load

mpl.use("Agg")
# With text as text and a fixed salt, equal numbers give an identical file.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sine", "font.family": "sans-serif", "font.size": 9})

import matplotlib.pyplot as plt  # noqa: E402

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGES = ROOT / "docs" / "images"
_OURS, _FLOOR, _OTHER = "#c0392b", "#7f8c8d", "#2c5d8f"


def _save(figure: Figure, name: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
    print((IMAGES / f"{name}.svg").relative_to(ROOT))


def _color(name: str) -> str:
    return _FLOOR if name.startswith("floor") else _OURS if name.startswith("ours") else _OTHER


def peers(measured: Mapping[str, Any]) -> None:
    """Draw the answers a second of each server under the heaviest loads, as bars on a logarithmic axis."""
    tables = measured["tables"]
    loads = [key for key in ("/predict, 64 connections", "/generate 1,000, 16 connections") if key in tables]
    figure, axes = plt.subplots(1, len(loads), figsize=(9, 3.6), squeeze=False)
    for axis, key in zip(axes[0], loads, strict=True):
        rows = [row for row in tables[key]["rows"][::-1] if not row[1].startswith("0.00")]
        rates = [float(row[1].rstrip(" *").replace(",", "")) for row in rows]
        bars = axis.barh([row[0] for row in rows], rates, color=[_color(row[0]) for row in rows], log=True)
        axis.bar_label(bars, [row[1] for row in rows], padding=3, fontsize=8)
        axis.set(title=key, xlabel="answers a second", xlim=(min(rates) / 3, max(rates) * 8))
        axis.spines[["top", "right"]].set_visible(False)
    _save(figure, "peers")


def _line(axis: Axes, points: Mapping[str, Mapping[str, float]], key: str, label: str, color: str) -> None:
    axis.plot([float(x) for x in points], [point[key] for point in points.values()], "o-", label=label, color=color)


def sweeps(measured: Mapping[str, Any]) -> None:
    """Draw latency against steps, length and connections, and throughput against hidden size."""
    data = measured["data"]
    figure, ((steps, length), (hidden, connections)) = plt.subplots(2, 2, figsize=(9, 6))
    for axis, points in ((steps, data["steps"]), (length, data["length"]), (connections, data["connections"])):
        _line(axis, points, "p50_ms", "p50", _OTHER)
        _line(axis, points, "p99_ms", "p99", _OURS)
        axis.set(xscale="log", yscale="log", ylabel="ms")
        axis.legend(frameon=False)
    steps.set(title="/generate, 1 connection", xlabel="steps")
    length.set(title="/predict, 1 connection", xlabel="values in the sequence")
    connections.set(title="/predict, 50 values", xlabel="connections")
    _line(hidden, data["hidden"]["/predict"], "rate", "/predict, 64 connections", _OTHER)
    _line(hidden, data["hidden"]["/generate"], "rate", "/generate 1,000, 16 connections", _OURS)
    hidden.set(title="answers a second", xlabel="hidden units", xscale="log", ylim=(0, None))
    hidden.legend(frameon=False)
    _save(figure, "sweeps")


def kernel(measured: Mapping[str, Any]) -> None:
    """Draw the time of one step of a rollout for each implementation."""
    figure, axis = plt.subplots(figsize=(6, 3.2))
    data = measured["data"]
    for way in next(iter(data.values())):
        axis.plot(list(data), [1e6 * ways[way]["least_s"] for ways in data.values()], "o", label=way)
    axis.set(yscale="log", xlabel="cell and hidden units", ylabel="µs a step")
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    axis.spines[["top", "right"]].set_visible(False)
    _save(figure, "kernel")


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.figures", description=__doc__).parse_args(arguments)
    for draw in (peers, sweeps, kernel):
        measured = load(draw.__name__)
        if measured is not None:
            draw(measured)


if __name__ == "__main__":
    main()
