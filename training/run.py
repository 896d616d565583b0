"""One run of `python -m training`: checks, training, artifact, report, in this order.

A failure before the training costs nothing. The artifact replaces an older one when it has been verified, and the
pictures come last. The checkpoint stays until everything is written, so `--resume` completes a run that ended early.
"""

import math
import sys
from contextlib import ExitStack
from functools import partial

from rich.console import Console

from model.anchored import AnchoredNetwork
from model.artifact import ArtifactError
from model.network import Network
from training import checkpoint
from training.article import largest_errors, next_value_line
from training.checkpoint import CheckpointError
from training.checks import OutputError, check_folder, check_intervals, check_memory, only_run_in
from training.config import Config
from training.data import Source
from training.export import check_overwrite, export
from training.loop import make_deterministic, train
from training.measures import evaluate, predictor_of
from training.own.verdict import network_rank
from training.progress import TrainingProgress
from training.record import Diverged
from training.report import write_report
from training.series import open_source

FAILED, REFUSED, INTERRUPTED = 1, 2, 130
"""Exit statuses: the run failed, it was refused before the training, or Ctrl-C ended it (128 + SIGINT)."""


def run(config: Config) -> int:
    """Train, export and report. Print one line on stderr if that fails, and return the exit status."""
    with ExitStack() as until_the_end:
        try:
            check_memory(config)
            source = open_source(config)
            check_intervals(config, source)
            until_the_end.enter_context(only_run_in(config.directory))
            check_overwrite(config, source)
            if config.tensorboard:
                check_folder("tensorboard", config.tensorboard)
        except ValueError as error:
            return failed(str(error), REFUSED)
        return _run(config, source)


def failed(message: str, status: int = FAILED) -> int:
    """Print one line on stderr, and return the exit status."""
    print(f"python -m training: error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _run(config: Config, source: Source) -> int:
    console = Console(highlight=False)
    saved = config.directory / checkpoint.FILE
    again = "run the same command with --resume to continue from here"
    written = "nothing was written"
    is_article = config.preset == "article" and config.data is None
    try:
        make_deterministic(config)
        adam_done = partial(print_next_value, config, console, config.epochs) if is_article else None
        with TrainingProgress(config, console) as progress:
            trained = train(config, source, progress, saved, adam_done)
        say = "interrupted" if trained.interrupted else "trained"
        console.print(f"{say} after {trained.seconds:.0f} s; the best weights are those of epoch {trained.best_epoch}")
        if trained.interrupted and saved.exists():
            console.print(again)
        written = f"{config.artifact} was not written; {again}"
        errors = evaluate(trained.network, source, config.context_evaluated, config.season)
        if not all(map(math.isfinite, errors.values())):
            raise Diverged(config, trained.best_epoch, "the error is not finite")
        artifact = export(trained, config, source, errors)
        written = f"{config.artifact} is written, and the reports are not; {again}"
        predict = predictor_of(trained.network, source)
        write_report(config.directory, predict, trained.history, errors, source, config.context_evaluated)
        if not trained.interrupted:
            saved.unlink(missing_ok=True)
        written = f"{config.artifact} and the reports are written"
        console.print(f"errors on what training never saw, as fractions of the {source.unit}:", soft_wrap=True)
        for key, value in errors.items():
            console.print(f"  {key:32} {value:.2e}")
        if config.data is not None:
            console.print(network_rank(errors), soft_wrap=True)
        if is_article:
            print_largest_errors(config, console, trained.network)
            print_next_value(config, console, trained.best_epoch, trained.network)
        console.print(
            f"wrote {config.artifact} (sha256 {artifact.digest[:12]}…) and the reports in {config.directory}/",
            soft_wrap=True,
        )
        return 0
    except KeyboardInterrupt:
        print(f"interrupted: {written}", file=sys.stderr)
        return INTERRUPTED
    except CheckpointError as error:
        return failed(str(error), REFUSED)
    except Diverged as error:
        return failed(str(error))
    except OSError as error:
        return failed(f"{error.filename or config.directory} cannot be written: {error.strerror}; {written}")
    except (ArtifactError, OutputError) as error:
        return failed(f"{error}; {written}")


def print_next_value(config: Config, console: Console, epoch: int, network: Network | AnchoredNetwork) -> None:
    """Print the next value that the network predicts on the article's curve with the weights of an epoch."""
    adam, least_squares = min(epoch, config.epochs), max(0, epoch - config.epochs)
    stages = [f"{adam} epochs with Adam"] * (adam > 0) + [f"{least_squares} of least squares"] * (least_squares > 0)
    line = next_value_line(network.generate, config.waves.period[0], config.context_evaluated)
    console.print(f"after {' and '.join(stages)}: {line}", soft_wrap=True)


def print_largest_errors(config: Config, console: Console, network: Network | AnchoredNetwork) -> None:
    """Print the largest errors on the article's curve."""
    console.print("largest errors on its phases that training never saw:")
    for key, value in largest_errors(network.generate, config.waves.period[0], config.context_evaluated).items():
        console.print(f"  {key:32} {value:.2e}")
