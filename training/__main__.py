"""The command line of training. Each command describes its options with `--help`.

python -m training --data FILE.csv               fit a model to your own series (training/own/run.py)
python -m training compare FILE.csv              compare forecasts of them, without a fit (training/own/compare.py)
python -m training [--preset article]            train on sine waves (training/run.py)
python -m training --cell gru --data FILE.csv    train a network on your own series (training/run.py)
python -m training evaluate [ARTIFACT]           measure an artifact (training/evaluate.py)
python -m training card [ARTIFACT]               write its model card (training/card.py)
python -m training export ARTIFACT               write it for the installed torch (training/export.py)

The exit status is 0 after success, 1 for a run that failed, 2 for a command that was refused, and 130 after Ctrl-C.
Modules are imported inside of `main`, because importing torch takes seconds in which Ctrl-C should end in one line too.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.config import Config

INTERRUPTED = 130  # shells report 128 + SIGINT for a program that Ctrl-C ended


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status."""
    try:
        return _run(list(arguments))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    import tyro

    from model.artifact import ArtifactError
    from training import card, evaluate, export
    from training.config import SettingError
    from training.own.compare import Compare, compare
    from training.own.options import Own
    from training.own.run import run as fit
    from training.run import REFUSED, failed, run

    config = None
    try:
        match arguments:
            case ["compare", *options]:
                compare(tyro.cli(Compare, args=options, prog="python -m training compare"))
            case ["--help" | "-h"]:
                print_help(Own)
                parse(arguments)
            case ["evaluate", *options]:
                evaluate.run(tyro.cli(evaluate.Evaluate, args=options, prog="python -m training evaluate"))
            case ["card", *options]:
                card.run(tyro.cli(card.Card, args=options, prog="python -m training card"))
            case ["export", *options]:
                export.export_again(tyro.cli(export.Export, args=options, prog="python -m training export"))
            case _ if is_fit(arguments):
                return fit(tyro.cli(Own, args=arguments, prog="python -m training"))
            case _:
                config = parse(arguments)
    except (ValueError, ArtifactError, SettingError) as error:
        return failed(str(error), REFUSED)
    except OSError as error:
        return failed(f"{error.filename}: {error.strerror}")
    return run(config) if config else 0


def is_fit(arguments: Sequence[str]) -> bool:
    """Return whether members are fitted to a file: it is given, and neither a cell nor a preset selects a network.

    Raises:
        ValueError: there are options of networks.
    """
    from training.config import Config
    from training.own.options import Own

    names = {argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--")}
    if "--data" not in names or names & {"--cell", "--preset", "--inputs"}:
        return False
    fields = {f"--{name}".replace("_", "-") for name in Config.__dataclass_fields__}
    own = {f"--{name}".replace("_", "-") for name in Own.__dataclass_fields__}
    if of_networks := sorted(names & (fields - own)):
        raise ValueError(
            f"{', '.join(of_networks)}: for networks alone; --cell rnn, gru or lstm trains one on the file"
        )
    return True


def print_help(options: type) -> None:
    """Print the help of these options."""
    import tyro

    with suppress(SystemExit):
        tyro.cli(options, args=["--help"], prog="python -m training --data FILE")
    print("\nTraining of networks on sine waves, and on your own series with --cell:\n")


def parse(arguments: Sequence[str]) -> "Config":
    """Return the settings that a command line asks for.

    Raises:
        SystemExit: after `--help`, or if an option or its value is not allowed; stderr says why.
    """
    import tyro

    from training.config import PRESETS, Config, SettingError

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
    try:
        return tyro.cli(Config, default=default, args=arguments, prog="python -m training")
    except SettingError as error:
        print(f"python -m training: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stop by systemd or Docker is like Ctrl-C
    sys.exit(main(sys.argv[1:]))
