"""Ask a service from the terminal. Values come from a file or a pipe, with spaces, commas or newlines between them.

cat values.txt | python -m app.client predict
python -m app.client generate values.txt --steps 200 --level 95 --plot
python -m app.client stream values.txt --steps 1000000 | head

The environment variable SINE_API_KEY holds the key, if the service requires one.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import httpx
from pydantic import ValidationError

from app.client import URL, Client, Options, ServiceError
from app.client.values import read_values
from app.schemas import GenerateResponse, PredictResponse, StreamEnd

Intervals = dict[str, list[float]] | None

PROGRAM = "python -m app.client"
FAILED, WRONG = 1, 2
INTERRUPTED = 130  # shells report 128 + SIGINT for a program that Ctrl-C ended


def predict(client: Client, asked: argparse.Namespace) -> None:
    """Print the next value."""
    sequence = values(asked)
    answer = client.predict(sequence, **options(asked))
    show(sequence, [answer.prediction], answer.intervals, asked)
    finish(answer, asked)


def generate(client: Client, asked: argparse.Namespace) -> None:
    """Print the next values."""
    sequence = values(asked)
    answer = client.generate(sequence, asked.steps, **options(asked))
    show(sequence, answer.values, answer.intervals, asked)
    finish(answer, asked)


def stream(client: Client, asked: argparse.Namespace) -> None:
    """Print the next values as they are computed."""
    with client.stream(values(asked), asked.steps, **options(asked)) as rollout:
        for number, part in enumerate(rollout):
            as_json = [part.model_dump_json(exclude_none=True)]
            write(as_json if asked.json else rows(part.values, part.intervals, named=number == 0))
    finish(rollout.end, asked)


def model(client: Client, asked: argparse.Namespace) -> None:
    """Print the served model as JSON."""
    print(client.model().model_dump_json(indent=2))


def models(client: Client, asked: argparse.Namespace) -> None:
    """Print the names of all served models, the default first."""
    write(info.name for info in client.models().models)


def values(asked: argparse.Namespace) -> list[float]:
    """Return the values from the file or standard input. With a state, a terminal as standard input means none."""
    if asked.file is not None:
        with asked.file.open(errors="replace") as file:
            return read_values(file, str(asked.file))
    if asked.state is not None and sys.stdin.isatty():
        return []
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    return read_values(sys.stdin, "input")


def options(asked: argparse.Namespace) -> Options:
    """Return the options of the request."""
    state = None if asked.state is None else asked.state.read_text().strip()
    return {"state": state, "return_state": asked.save_state is not None, "level": asked.level, "model": asked.model}


def show(sequence: list[float], forecast: list[float], intervals: Intervals, asked: argparse.Namespace) -> None:
    """Print a forecast as a plot or as lines. `finish` prints JSON."""
    if asked.plot:
        from app.client.plot import plot  # the import takes longer than most answers

        print(plot(sequence, forecast, intervals))
    elif not asked.json:
        write(rows(forecast, intervals))


def rows(forecast: list[float], intervals: Intervals, named: bool = True) -> Iterator[str]:
    """Yield a line for each value. With intervals, it has their ends too, and if `named`, a line of names is first."""
    if intervals and named:
        yield "\t".join(["value", *intervals])
    for row in zip(forecast, *(intervals or {}).values(), strict=True):
        yield "\t".join(map(repr, row))


def write(lines: Iterable[str]) -> None:
    """Print lines without waiting for a full buffer."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def finish(answer: PredictResponse | GenerateResponse | StreamEnd, asked: argparse.Namespace) -> None:
    """Print JSON and save the state, each if requested, and report a rollout that diverged."""
    if asked.json:
        print(answer.model_dump_json(exclude_none=True))
    if asked.save_state is not None:
        if answer.state is None:
            raise ValueError("there is no state to save: the rollout has stopped being finite")
        asked.save_state.write_text(f"{answer.state}\n")
    if not isinstance(answer, PredictResponse) and answer.finish_reason == "diverged":
        print(f"{PROGRAM}: the rollout stopped being finite, and ended there", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    url = os.environ.get("SINE_URL") or URL
    root = argparse.ArgumentParser(PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = root.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for run in (predict, generate, stream, model, models):
        command = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        add = command.add_argument
        add("--url", default=url, help=f"the address of the service; default: SINE_URL, here {url}")
        add("--patience", type=float, default=10, metavar="S", help="seconds to retry for; default: 10")
        if run in (model, models):
            continue
        add("file", nargs="?", type=Path, metavar="FILE", help="the values; default: standard input")
        add("--level", type=int, action="append", help="add intervals of this level, in percent; repeatable")
        add("--state", type=Path, metavar="FILE", help="continue from the state in this file")
        add("--save-state", type=Path, metavar="FILE", help="write the state to continue from to this file")
        add("--model", metavar="NAME", help="the model to ask, if several are served")
        if run in (generate, stream):
            add("--steps", type=int, default=50, help="how many values; default: 50")
        form = command.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print the service's answer as JSON")
        if run in (predict, generate):
            form.add_argument("--plot", action="store_true", help="draw the values and the forecast")
    return root


def stop(status: int, message: str) -> None:
    """End the program with a line on standard error."""
    print(f"{PROGRAM}: error: {message}", file=sys.stderr)
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. A failed request ends with status 1, wrong input with 2."""
    asked = parser().parse_args(arguments)
    logging.basicConfig(format=f"{PROGRAM}: %(message)s")
    key = os.environ.get("SINE_API_KEY") or None  # not an option: all users of the machine can read those
    try:
        with Client(asked.url, api_key=key, patience_s=asked.patience) as client:
            asked.run(client, asked)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `| head` has read enough; Python must not write to the pipe again when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ServiceError as error:
        stop(FAILED, f"{error.status} {error}")
    except httpx.HTTPError as error:
        stop(FAILED, f"{asked.url}: {str(error) or type(error).__name__}")
    except ValidationError as error:
        stop(WRONG, "; ".join(f"{'/'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()))
    except (ValueError, OSError, httpx.InvalidURL) as error:
        stop(WRONG, str(error))


if __name__ == "__main__":
    main()
