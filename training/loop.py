"""The training loop: Adam, one-step and closed-loop loss. The rollout error selects the weights.

The best one-step loss often gives a poor rollout, because a rollout receives its own errors as inputs. The closed loop
is therefore part of the loss, at a horizon that grows as the network learns to stay on the wave. Only the rollout error
decides which weights are kept.

Shape suffixes: B batch, T time, S steps of a rollout.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.anchored import AnchoredNetwork
from model.network import Network
from training import anchored, checkpoint
from training.config import Config
from training.data import Source, wave_loader
from training.finish import finish
from training.losses import losses
from training.prior.source import Prior
from training.progress import TrainingProgress
from training.record import Diverged, Epoch, Record, Run


@dataclass(frozen=True)
class Trained:
    """The result of a run."""

    network: Network | AnchoredNetwork
    """Network with the best weights."""

    history: list[Epoch]
    best_epoch: int
    """Epoch of the best weights, counted from 1."""

    seconds: float
    interrupted: bool
    """True if Ctrl-C ended the run before its last epoch."""


def make_deterministic(config: Config) -> None:
    """Make a run repeatable to the last bit on the same machine and the same torch."""
    # This seeds the initial weights. Each epoch has generators of its own: `train_epoch`.
    torch.manual_seed(config.seed)
    # Threads split sums, and the order of a floating-point sum affects its result.
    torch.set_num_threads(config.threads)
    # An operation without a deterministic form then raises, instead of giving silently different results.
    torch.use_deterministic_algorithms(True)


def train(
    config: Config,
    source: Source,
    progress: TrainingProgress,
    saved: Path | None = None,
    adam_done: Callable[[Network | AnchoredNetwork], None] | None = None,
) -> Trained:
    """Train until the last epoch or Ctrl-C, whichever comes first. Call `make_deterministic` before.

    Args:
        config: the settings.
        source: the data.
        progress: the display of the progress.
        saved: the checkpoint to write after each epoch, and to begin from if `config.resume` is set.
        adam_done: called after the last epoch with Adam, with the network that the finish begins from.

    Raises:
        CheckpointError: this run cannot continue from `saved`.
        Diverged: a loss or a weight is not finite.
        KeyboardInterrupt: Ctrl-C came before the end of the first epoch, so there is nothing to keep.
    """
    started = time.monotonic()
    run = begin(config, source)
    if config.resume and saved:
        checkpoint.load(saved, run, config, source)
        progress.resumed(run.record.history)
    interrupted = False

    def epoch_done() -> None:
        if saved:
            checkpoint.save(saved, run, config, source)
        progress.epoch_done(run.record.history[-1])

    try:
        for epoch in range(len(run.record.history) + 1, config.epochs + 1):
            train_epoch(run, epoch, config, source, progress.batch_done)
            epoch_done()
        if adam_done and len(run.record.history) == config.epochs > 0:
            adam_done(run.network.eval())
        finish(run, config, epoch_done)
    except KeyboardInterrupt:
        if not run.record.history:
            raise
        interrupted = True
    best = run.record.best
    if not best.weights:
        raise Diverged(config, 1, "no step lowers the loss")
    run.network.float().load_state_dict(best.weights)
    return Trained(run.network.eval(), run.record.history, best.epoch, time.monotonic() - started, interrupted)


def begin(config: Config, source: Source) -> Run:
    """Return a run before its first epoch."""
    kind = AnchoredNetwork if config.inputs == "anchors" else Network
    network = kind(config.architecture)
    initialise(network, config)
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    return Run(network, adam, Record(config, source), horizon=config.horizon[0] if config.closed_loop else 1)


def train_epoch(run: Run, epoch: int, config: Config, source: Source, batch_done: Callable[[], None]) -> None:
    """Train one epoch with Adam. `epoch` counts from 1; it and the seed determine all random numbers."""
    network, horizon = run.network, run.horizon
    if isinstance(network, AnchoredNetwork) and isinstance(source, Prior):
        batches = task_losses(network, horizon, epoch, config, source)
    elif isinstance(network, Network):
        batches = window_losses(network, horizon, epoch, config, source)
    else:
        raise TypeError("an anchored network learns from the synthetic prior alone")
    sums_2 = torch.zeros(2)
    for number, (one_step, closed_loop) in enumerate(batches):
        done = progress_of(epoch, number, config)
        for group in run.adam.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (done + 1e-4) / 0.02) * (0.001 + 0.999 * cosine(done))
        run.adam.zero_grad()
        (one_step + config.closed_loop * closed_loop).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        run.adam.step()

        sums_2 += torch.stack([one_step.detach(), closed_loop.detach()])
        batch_done()
    one_step_mean, closed_loop_mean = (sums_2 / config.batches).tolist()
    run.record.add(network, one_step_mean, closed_loop_mean, horizon)
    run.horizon = longer(horizon, closed_loop_mean, config)


def window_losses(
    network: Network, horizon: int, epoch: int, config: Config, source: Source
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield both losses of each batch of windows in an epoch, with the weights that the network has then."""
    seed = (config.seed, epoch)
    lengths = np.random.default_rng((*seed, 1))
    torch.manual_seed(int(np.random.default_rng((*seed, 2)).integers(2**63)))  # input noise and random scales
    dataset = source.training(config.batches * config.batch, config.context[1], horizon, seed)
    for number, (x_BT, y_BS) in enumerate(wave_loader(dataset, config.batch)):
        context = int(lengths.integers(config.context[0], config.context[1] + 1))
        series_BT = torch.cat([x_BT, y_BS], dim=1)[:, : context + horizon]
        noise = config.noise * cosine(progress_of(epoch, number, config))
        yield losses(network, series_BT, context, config, noise)


def task_losses(
    network: AnchoredNetwork, horizon: int, epoch: int, config: Config, source: Prior
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield both losses of each batch of tasks in an epoch, with the weights that the network has then."""
    for batch in source.batches(config.batches, config.batch, (config.seed, epoch), config.context, horizon):
        yield anchored.losses(network, batch, closed_loop=config.closed_loop > 0)


@torch.no_grad()
def initialise(network: Network | AnchoredNetwork, config: Config) -> None:
    """Initialise the recurrent weights as orthogonal matrices and the biases as zeros, which keep a wave in memory.

    Every direction of the state then keeps its length until tanh bends it. PyTorch's default uniform weights shrink it
    by almost half a step: the network forgets the wave before it can learn its period, and long rollouts never start.
    The matrix of each gate is orthogonal by itself. An LSTM's forget gate starts with a bias of 1, so that the network
    starts by remembering (Jozefowicz, Zaremba and Sutskever, ICML 2015).
    """
    for name, weight in network.rnn.named_parameters():
        if name.startswith("weight_hh"):
            for gate_HH in weight.view(-1, network.hidden, network.hidden):
                nn.init.orthogonal_(gate_HH, gain=config.recurrent_gain)
        elif name.startswith("bias"):
            nn.init.zeros_(weight)
            if network.cell == "lstm" and name.startswith("bias_ih"):
                nn.init.ones_(weight[network.hidden : 2 * network.hidden])  # input, forget, candidate, output
    network.weights(0)[0].mul_(config.input_gain)


def longer(horizon: int, closed_loop: float, config: Config) -> int:
    """Return the horizon of the next epoch, from the horizon and the mean closed-loop loss of this one.

    If a rollout has lost the wave's phase, its gradient only drives the output to zero. The horizon therefore grows
    only as fast as the network can follow.
    """
    if config.closed_loop == 0 or closed_loop >= config.grow_below:
        return horizon
    return min(config.horizon[1], math.ceil(1.1 * horizon))


def progress_of(epoch: int, number: int, config: Config) -> float:
    """Return the fraction of all batches that come before batch `number` of an epoch, 0 to 1."""
    return (epoch - 1 + number / config.batches) / config.epochs


def cosine(done: float) -> float:
    """Return a factor that falls along half a cosine, from 1 at `done` = 0 to 0 at `done` = 1."""
    return 0.5 * (1 + math.cos(math.pi * done))
