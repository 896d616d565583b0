"""Checks before a training. No run should fail after hours for a reason that was there at its beginning."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from model.digest import digest_path
from training.calibration import interval_horizon
from training.config import Config
from training.data import Source, Waves

LOCK = "lock"
EVALUATED, CHUNK = 1024, 400  # windows of a report, and rows of the finish, that are computed at once
KEPT_BY_GRADIENTS = 4  # arrays of a layer, besides those of its gates, that back-propagation keeps of each step


class OutputError(ValueError):
    """The artifact cannot be written to its path. The message says why."""


def check_output(path: Path, overwrite: bool) -> None:
    """Raise OutputError unless an artifact can be written to `path`. An existing file may only be there to `overwrite`.

    The check writes and removes an empty file: permissions say little about a full disk or a special file system.
    """
    try:
        if path.is_dir():
            raise OutputError(f"output must be a file, but {path} is a directory")
        if digest_path(path).is_dir():
            raise OutputError(f"output needs a file for its digest, but {digest_path(path)} is a directory")
        if path.exists() and not path.is_file():
            raise OutputError(f"output must be a file, but {path} is a device or a pipe")
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists: --overwrite replaces it, and another --name or --output keeps it")
    except OSError as error:
        raise OutputError(f"output cannot be {path}: {error.strerror}") from error
    check_folder("output", path.parent, digest_path(path).name)


def check_folder(option: str, folder: Path, name: str = "file") -> None:
    """Raise OutputError unless files of this name can be written in `folder`, which is created if necessary."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".new-") as aside:
            (Path(aside) / name).touch()
    except OSError as error:
        raise OutputError(f"{option}: nothing can be written in {folder}: {error.strerror}") from error


def check_intervals(config: Config, source: Source) -> None:
    """Raise ValueError unless the source has windows for each length of context that gets intervals."""
    horizon = interval_horizon(config, source)
    for context in config.interval_contexts if config.interval_rollouts else ():
        try:
            source.calibration(context, horizon, 1)
            source.fresh(context, horizon, 1)
        except ValueError as error:
            raise ValueError(f"interval-contexts cannot contain {context}: {error}") from error


def check_memory(config: Config) -> None:
    """Raise ValueError if a part of the training needs more memory than the machine has. Estimates are rough."""
    shape, waves = config.architecture, config.data is None and config.inputs == "value"
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[config.cell]
    step = 4 * config.layers * config.hidden * (gates + KEPT_BY_GRADIENTS)  # bytes, in single precision
    horizon = max(Waves().rollouts) if waves else config.horizon[1]
    interval_steps = max(config.interval_contexts) + min(config.interval_horizon, horizon)
    needs = {
        "hidden, layers": 32 * shape.parameters,  # weights, gradients, Adam's moments, and the best weights
        "batch, context, horizon": config.batch * (config.context[1] + config.horizon[1]) * step,
        "batches, batch": 48 * config.batches * config.batch,
        "context-evaluated, hidden": EVALUATED * (config.context_evaluated + horizon) * 8 * (shape.hidden + 4),
        "interval-rollouts, interval-contexts, interval-horizon": waves
        * config.interval_rollouts
        * interval_steps
        * 32,
    }
    if config.finish:
        rollout = max(config.finish_contexts) + max(config.finish_horizons)
        needs["finish-rows, hidden"] = 16 * config.finish_rows * shape.parameters
        needs["finish-contexts, finish-horizons"] = CHUNK * rollout * 2 * step
    names, most = max(needs.items(), key=lambda need: need[1])
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if most > has:
        raise ValueError(
            f"{names} need about {most / 1e9:,.0f} GB of memory together, and this machine has {has / 1e9:,.0f} GB: "
            "lower them"
        )


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of `folder` until the end. The lock ends with the process, however it ends.

    Raises:
        ValueError: another run is in the folder.
    """
    check_folder("runs", folder)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another run is in {folder}: choose another --name or --runs") from error
        except OSError as error:
            print(f"{folder} cannot be locked ({error.strerror}): start no other run there", file=sys.stderr)
        yield
