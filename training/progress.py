"""The display of a running training: a progress bar on a terminal, otherwise plain lines, and TensorBoard's curves."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from training.config import Config
from training.record import Epoch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SECONDS_BETWEEN_LINES = 10.0


class TrainingProgress:
    """A context manager that shows epochs, losses and the time left. `batch_done` and `epoch_done` advance it."""

    def __init__(self, config: Config, console: Console) -> None:
        self._config = config
        self._epochs = config.epochs + config.finish * len(config.finish_horizons)
        self._done = 0
        self._console = console
        self._bar = Progress(
            TextColumn("epoch"),
            TextColumn("{task.fields[epoch]}/{task.total}"),
            BarColumn(),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("training", total=self._epochs, news="", epoch=1)
        self._started = self._last_line = time.monotonic()
        self._resumed = 0
        self._curves = _curves(config.tensorboard) if config.tensorboard else None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if self._curves:
            self._curves.close()

    def resumed(self, history: Sequence[Epoch]) -> None:
        """Report that an earlier run has done these epochs."""
        self._done = self._resumed = len(history)
        self._bar.update(self._task, completed=self._done, epoch=self._done)
        self._console.print(f"resumed after epoch {self._done}/{self._epochs}")

    def batch_done(self) -> None:
        self._bar.advance(self._task, 1 / self._config.batches)

    def epoch_done(self, epoch: Epoch) -> None:
        """Show the measurements of an epoch."""
        self._done += 1
        if self._curves:
            for name, value in dataclasses.asdict(epoch).items():
                self._curves.add_scalar(name, value, self._done)
        loss = epoch.closed_loop if epoch.in_finish else epoch.one_step + self._config.closed_loop * epoch.closed_loop
        news = f"loss {loss:.2e}  rollout error of the selection {100 * epoch.rollout_rmse:.3g} %"
        self._bar.update(self._task, completed=self._done, epoch=self._done, news=news)
        now = time.monotonic()
        due = now - self._last_line >= SECONDS_BETWEEN_LINES or self._done in (1, self._epochs)
        if not self._console.is_terminal and due:
            left = (now - self._started) / (self._done - self._resumed) * (self._epochs - self._done)
            self._console.print(f"epoch {self._done}/{self._epochs}  {news}  about {left:.0f} s left", soft_wrap=True)
            self._last_line = now


def _curves(directory: Path) -> "SummaryWriter":
    from torch.utils.tensorboard import SummaryWriter  # this import takes a second, so only runs that need it pay

    return SummaryWriter(directory)
