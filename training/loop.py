"""The training loop: MSE and Adam, one-step and closed-loop loss, the best weights kept by rollout error.

The best one-step loss often gives a poor rollout, because a rollout meets its own errors again. So the loop that is
served is part of the loss, at a horizon that grows as the network learns to stay on the wave, and it alone decides
which weights are kept.

Shape suffixes: B batch, T time, S steps of a rollout.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from model.network import Network
from training.config import Config
from training.data import Source, wave_loader
from training.finish import finish
from training.losses import losses
from training.progress import TrainingProgress
from training.record import Epoch, Record


@dataclass(frozen=True)
class Trained:
    """The end of a run."""

    network: Network
    """With the best weights."""

    history: list[Epoch]
    best_epoch: int
    """Counted from 1."""

    seconds: float
    interrupted: bool
    """Ctrl-C ended the run before its last epoch."""


def make_deterministic(config: Config) -> None:
    """Make a run repeat itself to the last bit on the same machine and the same torch."""
    # Initial weights, input noise and random scales. Windows have their own generators, seeded by (seed, epoch).
    torch.manual_seed(config.seed)
    # Sums are split among threads, and the order of a floating-point sum is part of its result.
    torch.set_num_threads(config.threads)
    # An operation that has no deterministic form then raises, where it would otherwise differ in silence.
    torch.use_deterministic_algorithms(True)


def train(config: Config, source: Source, progress: TrainingProgress) -> Trained:
    """Train until the last epoch or Ctrl-C, whichever is first. `make_deterministic` goes before it.

    Raises:
        KeyboardInterrupt: Ctrl-C before the first epoch has ended, when there is nothing to keep yet.
    """
    started = time.monotonic()
    network = Network(config.architecture, source.offset, source.scale)
    initialise(network, config)
    adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    record = Record(config, source)
    lengths = np.random.default_rng((config.seed, 0))
    horizon = config.horizon[0] if config.closed_loop else 1
    windows = config.batches * config.batch
    interrupted = False
    try:
        for epoch in range(1, config.epochs + 1):
            dataset = source.training(windows, config.context[1], horizon, seed=(config.seed, epoch))
            sums_2 = torch.zeros(2)
            for number, (x_BT, y_BS) in enumerate(wave_loader(dataset, config.batch)):
                done = (epoch - 1 + number / config.batches) / config.epochs
                context = int(lengths.integers(config.context[0], config.context[1] + 1))
                series_BT = torch.cat([x_BT, y_BS], dim=1)[:, : context + horizon]
                one_step, closed_loop = losses(network, series_BT, context, config, config.noise * cosine(done))

                for group in adam.param_groups:
                    group["lr"] = config.learning_rate * min(1.0, (done + 1e-4) / 0.02) * (0.001 + 0.999 * cosine(done))
                adam.zero_grad()
                (one_step + config.closed_loop * closed_loop).backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), config.clip)
                adam.step()

                sums_2 += torch.stack([one_step.detach(), closed_loop.detach()])
                progress.batch_done()
            one_step_mean, closed_loop_mean = (sums_2 / config.batches).tolist()
            progress.epoch_done(record.add(network, one_step_mean, closed_loop_mean, horizon))
            horizon = longer(horizon, closed_loop_mean, config)
        finish(network, config, record, progress)
    except KeyboardInterrupt:
        if not record.history:
            raise
        interrupted = True
    best_epoch, weights = record.best
    network.float().load_state_dict(weights)
    return Trained(network.eval(), record.history, best_epoch, time.monotonic() - started, interrupted)


@torch.no_grad()
def initialise(network: Network, config: Config) -> None:
    """Begin with orthogonal recurrent weights and zero biases, which keep a wave in memory.

    Every direction of the state then keeps its length until tanh bends it. PyTorch's own uniform weights shrink it by
    almost half a step: the network forgets the wave before it can learn its period, and long rollouts never start.
    The matrix of each gate is orthogonal by itself. An LSTM's forget gate begins with a bias of 1, so that it begins by
    remembering (Jozefowicz, Zaremba and Sutskever, ICML 2015).
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
    """The horizon of the next epoch, from the horizon and the mean closed-loop loss of this one.

    A rollout that has lost the wave's phase gives a gradient that leads nowhere but to silence, so the horizon grows
    only as fast as the network can follow.
    """
    if config.closed_loop == 0 or closed_loop >= config.grow_below:
        return horizon
    return min(config.horizon[1], math.ceil(1.1 * horizon))


def cosine(done: float) -> float:
    """From 1 at the beginning to 0 at the end, along half a cosine; `done` goes from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * done))
