"""The command line of training. Each command describes its options with `--help`.

python -m training [--preset article] [--data FILE.csv]    train
python -m training evaluate [ARTIFACT]                     measure an artifact
python -m training card [ARTIFACT]                         write its model card
"""

import argparse
import sys
from collections.abc import Sequence

import tyro
from rich.console import Console

from model.artifact import ArtifactError
from training import card, checkpoint
from training.article import largest_errors, next_value_line
from training.baselines import Predictor
from training.checkpoint import CheckpointError
from training.config import PRESETS, Config
from training.evaluate import Evaluate, run
from training.export import export
from training.loop import make_deterministic, train
from training.measures import evaluate
from training.progress import TrainingProgress
from training.report import write_report
from training.series import open_source

INTERRUPTED = 130  # shells report 128 + SIGINT for a program that Ctrl-C ended


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status."""
    try:
        match list(arguments):
            case ["evaluate", *options]:
                run(tyro.cli(Evaluate, args=options, prog="python -m training evaluate"))
                return 0
            case ["card", *options]:
                card.run(tyro.cli(card.Card, args=options, prog="python -m training card"))
                return 0
        config = parse(arguments)
        if config.output.is_dir():
            raise ValueError(f"output must be a file, but {config.output} is a directory")
        source = open_source(config)
    except (ValueError, ArtifactError) as error:
        print(f"python -m training: error: {error}", file=sys.stderr)
        return 2
    console = Console(highlight=False)
    directory = config.runs / config.name
    saved = directory / checkpoint.FILE
    make_deterministic(config)
    try:
        with TrainingProgress(config, console) as progress:
            trained = train(config, source, progress, saved)
    except CheckpointError as error:
        print(f"python -m training: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted before the end of the first epoch: nothing was written", file=sys.stderr)
        return INTERRUPTED

    say = "interrupted" if trained.interrupted else "trained"
    console.print(f"{say} after {trained.seconds:.0f} s; the best weights are those of epoch {trained.best_epoch}")
    if trained.interrupted:
        console.print("run the same command with --resume to continue from here")
    errors = evaluate(trained.network, source, config.context_evaluated, config.season)
    write_report(directory, trained.network.generate, trained.history, errors, source, config.context_evaluated)
    artifact = export(trained, config, source, errors)
    if not trained.interrupted:
        saved.unlink()
    console.print(f"errors on what training never saw, as fractions of the {source.unit}:", soft_wrap=True)
    for key, value in errors.items():
        console.print(f"  {key:32} {value:.2e}")
    if config.preset == "article" and config.data is None:
        print_article(trained.network.generate, config, console)
    console.print(
        f"wrote {config.output} (sha256 {artifact.digest[:12]}…) and the reports in {directory}/", soft_wrap=True
    )
    return 0


def print_article(predictor: Predictor, config: Config, console: Console) -> None:
    """Print the largest errors on the article's curve and its next value."""
    period = config.waves.period[0]
    console.print("largest errors on its phases that training never saw:")
    for key, value in largest_errors(predictor, period, config.context_evaluated).items():
        console.print(f"  {key:32} {value:.2e}")
    console.print(next_value_line(predictor, period, config.context_evaluated), soft_wrap=True)


def parse(arguments: Sequence[str]) -> Config:
    """Return the settings that a command line asks for.

    Raises:
        ValueError: a value is not allowed.
        SystemExit: after `--help`, or if the options cannot be parsed.
    """
    # The preset chooses the defaults of the other options, which --help shows. It is therefore parsed first.
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--preset")
    first.add_argument("--data")
    try:
        known = first.parse_known_args(arguments)[0]
        preset = known.preset or ("series" if known.data else "default")
    except argparse.ArgumentError:
        preset = "default"
    # An unknown preset is left to tyro, whose error lists the known ones.
    default = next((config for name, config in PRESETS.items() if name == preset), PRESETS["default"])
    return tyro.cli(Config, default=default, args=arguments, prog="python -m training")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
