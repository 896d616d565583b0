"""The report of a run for people: the loss curve, rollouts against the truth, and the errors as JSON.

Shape suffixes: B batch, T time, S steps.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.baselines import Predictor
from training.data import Floats, Source, WaveDataset, WindowDataset
from training.prior.source import PriorDataset
from training.record import Epoch

LOSS, ROLLOUT, ERRORS = "loss.png", "rollout.png", "errors.json"
HORIZON, PORTRAIT = "horizon.png", "portrait.png"


def write_report(
    directory: Path,
    predictor: Predictor,
    history: Sequence[Epoch],
    errors: Mapping[str, float],
    source: Source,
    context: int,
) -> None:
    """Write `LOSS`, `ROLLOUT` and `ERRORS` into `directory`."""
    (directory / ERRORS).write_text(json.dumps(errors, indent=1) + "\n")
    save_figure(loss_curve(history, source), directory / LOSS)
    save_figure(rollout_picture(predictor, source, context), directory / ROLLOUT)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure. `Figure` without pyplot draws with Agg, opens no window and keeps no global state."""
    figure.savefig(path, dpi=70, metadata={"Software": None})  # the same run writes the same bytes


def loss_curve(history: Sequence[Epoch], source: Source) -> Figure:
    """Plot the losses and the selecting rollout error after each epoch, above the trained horizon.

    The loss of the finish is a curve of its own, because it weighs its rows.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    adam = sum(not epoch.in_finish for epoch in history)
    for label, first, losses in (
        ("Adam: one-step loss", 0, [epoch.one_step for epoch in history[:adam]]),
        ("Adam: closed-loop loss", 0, [epoch.closed_loop for epoch in history[:adam]]),
        ("least squares: loss (weighted)", adam, [epoch.closed_loop for epoch in history[adam:]]),
        ("rollouts that select", 0, [epoch.rollout_rmse for epoch in history]),
    ):
        if any(losses):
            top.plot(range(first + 1, first + 1 + len(losses)), losses, label=label)
    if 0 < adam < len(history):
        for axes in (top, bottom):
            axes.axvline(adam + 0.5, color="gray", linestyle=":", linewidth=1)
    top.set(yscale="log", ylabel=f"fraction of the\n{source.unit}")
    top.legend()
    bottom.plot(range(1, len(history) + 1), [epoch.horizon for epoch in history], color="gray")
    bottom.set(xlabel="epoch", ylabel="horizon\n(steps)")
    return figure


def rollout_picture(predictor: Predictor, source: Source, context: int) -> Figure:
    """Plot rollouts against the truth on three held-out windows. For waves, the periods are short, middle and long."""
    steps = min(150, source.rollouts[-1])
    dataset = source.held_out(context, steps, count=1024)
    chosen = three(dataset)
    figure = Figure(figsize=(10, 5), layout="constrained")
    for axes, (label, index) in zip(figure.subplots(3, 1, sharex=True), chosen, strict=True):
        given_T, truth_S, rollout_S = _one(predictor, dataset, index)
        axes.plot(np.arange(context), given_T, color="gray", label=f"given ({context} values)")
        axes.plot(np.arange(context, context + steps), truth_S, color="black", alpha=0.35, linewidth=4, label="truth")
        axes.plot(np.arange(context, context + steps), rollout_S, "--", color="tab:red", label="rollout")
        axes.set_ylabel(label)
        axes.margins(x=0)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3, loc="outside upper center", frameon=False)
    figure.axes[-1].set_xlabel("sample")
    return figure


def three(dataset: WindowDataset) -> list[tuple[str, int]]:
    """Return three windows and their labels: of a short, a middle and a long period, from early to late, or any."""
    order_B = np.argsort(dataset.period_B) if isinstance(dataset, WaveDataset) else np.arange(len(dataset))
    chosen = [int(order_B[round(place * (len(dataset) - 1))]) for place in (0.1, 0.5, 0.9)]
    if isinstance(dataset, WaveDataset):
        return [(f"period {dataset.period_B[index]:.1f}", index) for index in chosen]
    names = ("first", "second", "third") if isinstance(dataset, PriorDataset) else ("early", "middle", "late")
    return list(zip(names, chosen, strict=True))


def error_curve(error_by_name: Mapping[str, Tensor], unit: str) -> Figure:
    """Plot the error of each step [S] of a rollout, for the model and the baselines."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for name, error_S in error_by_name.items():
        model = name == "model"
        axes.plot(range(1, len(error_S) + 1), error_S, label=name.replace("_", " "), linewidth=2.5 if model else 1.2)
    axes.set(xscale="log", yscale="log", xlabel="step of the rollout", ylabel=f"RMSE, fraction of the\n{unit}")
    axes.legend()
    return figure


def phase_portrait(paths: Sequence[tuple[str, Floats]], context: int) -> Figure:
    """Plot hidden states [T + S, M] on the plane in which they vary most: gray for given values, then in colour.

    A model that can continue for ever draws a closed curve, one for each wave.
    """
    every_NH = np.concatenate([path_NH for _, path_NH in paths])
    middle_H = every_NH.mean(axis=0)
    _, _, direction_HH = np.linalg.svd(every_NH - middle_H, full_matrices=False)
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    for label, path_NH in paths:
        at_N2 = (path_NH - middle_H) @ direction_HH[:2].T
        axes.plot(*at_N2[:context].T, color="lightgray", linewidth=1, zorder=1)
        axes.plot(*at_N2[context - 1 :].T, ".-", markersize=3, linewidth=0.7, label=label)
    axes.set(xlabel="first principal component of the state", ylabel="second", aspect="equal")
    axes.legend()
    return figure


@torch.inference_mode()
def _one(predictor: Predictor, dataset: WindowDataset, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return window [T], truth [S] and rollout [S] of one item; for a wave, in amplitudes from its level."""
    x_BT, truth_BS = dataset[[index]]
    level, unit = (dataset.level_B[index], dataset.amplitude_B[index]) if isinstance(dataset, WaveDataset) else (0, 1)
    given_T, truth_S, rollout_S = (
        (part[0].numpy() - level) / unit for part in (x_BT, truth_BS, predictor(x_BT, dataset.horizon))
    )
    return given_T, truth_S, rollout_S
