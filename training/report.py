"""What a run leaves for people to look at: the loss curve, rollouts against the truth, and the errors as JSON.

Shape suffixes: B batch, T time, S steps.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from training.data import WaveDataset, Waves
from training.evaluate import REPORT, Predictor, held_out
from training.record import Epoch

LOSS, ROLLOUT, ERRORS = "loss.png", "rollout.png", "errors.json"


def write_report(
    directory: Path,
    predictor: Predictor,
    history: Sequence[Epoch],
    errors: Mapping[str, float],
    waves: Waves,
    context: int,
) -> None:
    """Write `LOSS`, `ROLLOUT` and `ERRORS` into `directory`, which is made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ERRORS).write_text(json.dumps(errors, indent=1) + "\n")
    # `Figure` without pyplot draws with Agg, opens no window and keeps no global state. No software name in the file:
    # the same run writes the same bytes.
    for name, figure in ((LOSS, loss_curve(history)), (ROLLOUT, rollout_picture(predictor, waves, context))):
        figure.savefig(directory / name, dpi=70, metadata={"Software": None})


def loss_curve(history: Sequence[Epoch]) -> Figure:
    """Both losses and the held-out rollout error after each epoch, above the horizon that was trained."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    epochs = range(1, len(history) + 1)
    top.plot(epochs, [epoch.one_step for epoch in history], label="one-step loss (mean square)")
    if any(epoch.closed_loop for epoch in history):
        top.plot(epochs, [epoch.closed_loop for epoch in history], label="closed-loop loss (mean square)")
    top.plot(epochs, [epoch.rollout_rmse for epoch in history], label="held-out rollouts (RMSE)")
    top.set(yscale="log", ylabel="fraction of the amplitude")
    top.legend()
    bottom.plot(epochs, [epoch.horizon for epoch in history], color="gray")
    bottom.set(xlabel="epoch", ylabel="horizon\n(steps)")
    return figure


def rollout_picture(predictor: Predictor, waves: Waves, context: int, steps: int = 150) -> Figure:
    """A rollout against the truth on three held-out waves: a short, a middle and a long period."""
    dataset = held_out(waves, context, steps, REPORT)
    by_period_B = np.argsort(dataset.period_B)
    chosen = [int(by_period_B[round(place * (len(dataset) - 1))]) for place in (0.1, 0.5, 0.9)]
    figure = Figure(figsize=(10, 5), layout="constrained")
    for axes, index in zip(figure.subplots(len(chosen), 1, sharex=True), chosen, strict=True):
        given_T, truth_S, rollout_S = _one(predictor, dataset, index)
        axes.plot(np.arange(context), given_T, color="gray", label=f"given ({context} values)")
        axes.plot(np.arange(context, context + steps), truth_S, color="black", alpha=0.35, linewidth=4, label="truth")
        axes.plot(np.arange(context, context + steps), rollout_S, "--", color="tab:red", label="rollout")
        axes.set_ylabel(f"period {dataset.period_B[index]:.1f}")
        axes.margins(x=0)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3, loc="outside upper center", frameon=False)
    figure.axes[-1].set_xlabel("sample")
    return figure


@torch.inference_mode()
def _one(predictor: Predictor, dataset: WaveDataset, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Window [T], truth [S] and rollout [S] of one item, as fractions of the amplitude."""
    x_BT, truth_BS = dataset[[index]]
    y_BS = predictor(x_BT, dataset.horizon)
    amplitude = dataset.amplitude_B[index]
    return x_BT[0].numpy() / amplitude, truth_BS[0].numpy() / amplitude, y_BS[0].numpy() / amplitude
