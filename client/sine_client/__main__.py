"""Ask a service from the terminal. Values come from a file or a pipe, with spaces, commas or newlines between them.

cat values.txt | sine predict
sine generate values.txt --steps 200 --level 95 --plot
sine stream values.txt --steps 1000000 | head
sine forecast sales.csv --horizon 24 --level 80 95 > forecasts.csv

A number has a decimal point; a decimal comma is refused. The environment variable SINE_API_KEY holds the key, if the
service requires one.
"""

import argparse
import csv
import logging
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

import httpx
from pydantic import ValidationError

from sine_client.address import clean_key
from sine_client.client import Client
from sine_client.exchange import Options, ServiceError
from sine_client.inputs import address, check_can_write, opened, state, values
from sine_client.messages import Fit, GenerateResponse, PredictResponse, StreamEnd
from sine_client.values import number, whole

Intervals = dict[str, list[float]] | None

PROGRAM = "sine"
MOST_PLOTS = 4
FAILED, WRONG = 1, 2
INTERRUPTED = 130  # shells report 128 + SIGINT for a program that Ctrl-C ended


def predict(client: Client, asked: argparse.Namespace) -> None:
    """Print the next value."""
    sequence, options = inputs(asked)
    answer = client.predict(sequence, **options)
    judge(answer, asked)
    show(sequence, [answer.prediction], answer.intervals, asked)
    finish(answer, asked)


def generate(client: Client, asked: argparse.Namespace) -> None:
    """Print the next values."""
    sequence, options = inputs(asked)
    answer = client.generate(sequence, asked.steps, **options)
    judge(answer, asked)
    show(sequence, answer.values, answer.intervals, asked)
    finish(answer, asked)


def stream(client: Client, asked: argparse.Namespace) -> None:
    """Print the next values as they are computed."""
    sequence, options = inputs(asked)
    with client.stream(sequence, asked.steps, **options) as rollout:
        for number, part in enumerate(rollout):
            as_json = [part.model_dump_json(exclude_unset=True)]
            write(as_json if asked.json else rows(part.values, part.intervals, named=number == 0))
    judge(rollout.end, asked)
    finish(rollout.end, asked)


def forecast(client: Client, asked: argparse.Namespace) -> None:
    """Print the forecasts of a table of series as CSV."""
    from sine_client.files import csv_rows, read_csv  # NumPy takes longer to import than most answers

    name = "input" if asked.file is None else str(asked.file)
    with opened(asked.file) as lines:
        freq = asked.freq if asked.freq is None or not is_number(asked.freq) else numeric(asked.freq)
        series = read_csv(lines, name, freq, asked.id, asked.time, asked.column)
    if asked.plot and len(series) > MOST_PLOTS:
        raise ValueError(f"--plot draws at most {MOST_PLOTS} series, and there are {len(series)}")
    responses = client.forecast_rows(series, asked.horizon, asked.level, asked.model)
    if not asked.plot:
        csv.writer(sys.stdout, lineterminator="\n").writerows(csv_rows(responses, asked.id, asked.time))
        return
    from sine_client.plot import plot

    forecasts = [each for response in responses for each in response.forecasts]
    for given, found in zip(series, forecasts, strict=True):
        print(found.unique_id)
        print(plot(given.y, found.values, found.intervals))


def model(client: Client, asked: argparse.Namespace) -> None:
    """Print the served model as JSON."""
    print(client.model().model_dump_json(indent=2))


def models(client: Client, asked: argparse.Namespace) -> None:
    """Print the names of all served models, the default first."""
    write(info.name for info in client.models().models)


def inputs(asked: argparse.Namespace) -> tuple[list[float], Options]:
    """Return the values and the options of the request."""
    check_can_write(asked.save_state)
    token = state(asked.state)
    sequence = values(asked.file, needed=token is None)
    options: Options = {"state": token, "level": asked.level, "model": asked.model, "season": asked.season}
    options |= {"diagnostics": asked.diagnostics}
    return sequence, options | {"return_state": asked.save_state is not None}


def judge(answer: PredictResponse | GenerateResponse | StreamEnd, asked: argparse.Namespace) -> None:
    """Report the warnings and, unless JSON has it, the fit if requested. All of this goes to standard error."""
    for warning in answer.warnings or ():
        report(f"warning: {' '.join(warning.split())}")
    if asked.diagnostics and not asked.json:
        report(f"fit: {described(answer.fit)}")


def described(fit: Fit | None) -> str:
    """Describe a fit in a line."""
    if fit is None:
        return "not known; it needs at least 8 values, and a model that was calibrated for it"
    return f"residual {fit.residual:.3g}, expected {fit.expected:.3g}, ratio {fit.ratio:.3g}, of {fit.values} values"


def show(sequence: list[float], forecast: list[float], intervals: Intervals, asked: argparse.Namespace) -> None:
    """Print a forecast as a plot or as lines. `finish` prints JSON."""
    if asked.plot:
        from sine_client.plot import plot  # the import takes longer than most answers

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
        print(answer.model_dump_json(exclude_unset=True))
    if asked.save_state is not None:
        if answer.state is None:
            raise ValueError("there is no state to save: the rollout has stopped being finite")
        asked.save_state.write_text(f"{answer.state}\n")
    if not isinstance(answer, PredictResponse) and answer.finish_reason == "diverged":
        report("the rollout stopped being finite, and ended there")


def report(message: str) -> None:
    """Print a line on standard error. Values are printed even if nobody can read it."""
    if sys.stderr is not None:  # print would take standard output instead
        try:
            print(f"{PROGRAM}: {message}", file=sys.stderr, flush=True)
        except OSError:
            drop_output(sys.stderr)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        stop(WRONG, message)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    root = Parser(PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = root.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for run in (predict, generate, stream, forecast, model, models):
        command = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        add = command.add_argument
        add("--url", help="the address of the service; default: SINE_URL, or this machine with SINE_HOST and SINE_PORT")
        add("--patience", type=option(number, 0), default=10, metavar="S", help="seconds to retry for; default: 10")
        if run in (model, models):
            continue
        if run is forecast:
            _add_table(command)
            continue
        add("file", nargs="?", type=Path, metavar="FILE", help="the values; default: standard input")
        add("--level", type=option(whole), action="append", help="add intervals of this level, in percent; repeatable")
        add("--season", type=option(whole), help="the number of values after which they repeat; default: found in them")
        add("--diagnostics", action="store_true", help="also print the fit of the model to the values")
        add("--state", type=Path, metavar="FILE", help="continue from the state in this file")
        add("--save-state", type=Path, metavar="FILE", help="write the state to continue from to this file")
        add("--model", metavar="NAME", help="the model to ask, if several are served")
        if run in (generate, stream):
            add("--steps", type=option(whole), default=50, help="how many values; default: 50")
        form = command.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print the service's answer as JSON")
        if run in (predict, generate):
            form.add_argument("--plot", action="store_true", help="draw the values and the forecast")
    return root


def _add_table(command: argparse.ArgumentParser) -> None:
    """Add the options of `forecast`."""
    add = command.add_argument
    add("file", nargs="?", type=Path, metavar="FILE.csv", help="the table, with names in its first row; default: input")
    add("--horizon", type=option(whole), required=True, help="how many steps to forecast for each series")
    add("--level", type=option(whole), nargs="+", help="add intervals of these levels, in percent")
    add("--freq", help="the frequency of the times, such as D, h or ME; default: found in the times of each series")
    add("--model", metavar="NAME", help="the model to ask, if several are served")
    add("--id", metavar="NAME", help="the column that names the series; default: unique_id")
    add("--time", metavar="NAME", help="the column of times; default: ds")
    add("--column", default="y", metavar="NAME", help="the column of values; default: y")
    add("--plot", action="store_true", help=f"draw the forecasts instead, of at most {MOST_PLOTS} series")


def numeric(text: str) -> int | float:
    """Return the number that the text is, whole if it can be."""
    try:
        return whole(text)
    except ValueError:
        return number(text)


def is_number(text: str) -> bool:
    """Return whether a frequency is a number, as it is for times that are numbers."""
    try:
        number(text)
    except ValueError:
        return False
    return True


def option(read: Callable[[str], float], least: float = -math.inf) -> Callable[[str], float]:
    """Return a type of option for argparse, whose errors say what `read` allows."""

    def typed(text: str) -> float:
        try:
            value = read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        if value < least:
            raise argparse.ArgumentTypeError(f"this is below {least}")
        return value

    return typed


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line. No unknown argument is repeated as a whole, because it may be a key."""
    asked, unknown = parser().parse_known_args(arguments)
    names = [argument.partition("=")[0] for argument in unknown if argument.startswith("--")]
    if unknown:
        stop(WRONG, f"there is no option {' '.join(names)}" if names else "there are too many arguments")
    return asked


def stop(status: int, message: str) -> NoReturn:
    """End the program with a line on standard error. It has no user names and passwords of addresses."""
    shown = re.sub(r"(:/+)\S*@", r"\1", message)
    report(f"error: {shown}")
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. A failed request ends with status 1, wrong input with 2."""
    if sys.stdout is None:
        stop(WRONG, "output is closed")
    url = ""
    try:
        try:
            asked = parse(arguments)
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a plot, where output is not UTF-8
            logging.basicConfig(format=f"{PROGRAM}: %(message)s")
            key = clean_key(os.environ.get("SINE_API_KEY"), "SINE_API_KEY")  # an option would show it to all users
            url = address(asked.url)
            with Client(url, api_key=key, patience_s=asked.patience) as client:
                asked.run(client, asked)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `| head` has read enough
        drop_output(sys.stdout)
    except ServiceError as error:
        detail = str(error)
        stop(FAILED, f"{url}: {detail}" if detail.startswith(str(error.status)) else f"{error.status} {detail}")
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        stop(FAILED, f"{url}: no answer: {error}; --url gives another address")
    except httpx.HTTPError as error:
        stop(FAILED, f"{url}: {error}")
    except ValidationError as error:
        stop(WRONG, "; ".join(f"{'/'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()))
    except ValueError as error:
        stop(WRONG, str(error))
    except OSError as error:
        drop_output(sys.stdout)
        stop(WRONG, f"{error.filename or 'output'}: {error.strerror}")


def drop_output(output: TextIO) -> None:
    """Send what is still to be written to nowhere: Python writes it when it exits, and must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


if __name__ == "__main__":
    main()
