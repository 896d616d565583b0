"""The finish: L-BFGS over a fixed set of training waves, after Adam has found the basin.

Adam's steps are as noisy as its batches; the last factor of three in accuracy is cheaper with a method that follows
the curvature of a loss that stands still. In double precision: the line search compares losses that differ in late
digits. (Nocedal and Wright, *Numerical Optimization*, 2006, algorithms 7.5 and 3.5.)

Shape suffixes: B batch, T time.
"""

import torch
from torch import Tensor

from model.network import Network
from training.config import Config
from training.data import WaveDataset
from training.losses import losses
from training.progress import TrainingProgress
from training.record import Record

ITERATIONS = 20  # in a round


def finish(network: Network, config: Config, record: Record, progress: TrainingProgress) -> None:
    """Run `config.finish` rounds on `network`, which turns to double precision."""
    context, horizon = config.context_evaluated, config.horizon[1] if config.closed_loop else 1
    # Its seed is that of the epoch after the last, so that no window of an earlier epoch comes again.
    seed = (config.seed, config.epochs + 1)
    series_BT = torch.cat(
        WaveDataset(config.waves, "training", config.finish_waves, context, horizon, seed).all(), dim=1
    )
    network.double().train()
    optimizer = torch.optim.LBFGS(
        network.parameters(),
        max_iter=ITERATIONS,
        history_size=50,
        tolerance_change=0.0,  # the number of rounds decides when to stop
        line_search_fn="strong_wolfe",
    )
    latest = [0.0, 0.0]

    def closure() -> Tensor:
        optimizer.zero_grad()
        # The loss must stand still: the same scales every time, and no noise.
        torch.manual_seed(config.seed)
        one_step, closed_loop = losses(network, series_BT, context, config, noise=0.0)
        loss = one_step + config.closed_loop * closed_loop
        loss.backward()  # type: ignore[no-untyped-call]
        latest[:] = [one_step.item(), closed_loop.item()]
        return loss

    for _ in range(config.finish):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        progress.epoch_done(record.add(network, latest[0], latest[1], horizon))
