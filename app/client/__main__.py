"""Ask a service for forecasts. The values come from a file or a pipe; spaces, commas or newlines separate them.

cat values.txt | python -m app.client predict
python -m app.client generate values.txt --steps 200 --level 95 --plot
python -m app.client stream values.txt --steps 1000000 | head

Each request carries the key in the environment variable SINE_API_KEY, if there is one.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from pydantic import ValidationError

from app.client import URL, Client, Options, ServiceError
from app.client.values import read_values
from app.schemas import GenerateResponse, PredictResponse

INTERRUPTED = 130  # the status that a shell reports after Ctrl-C: 128 + SIGINT
FAILED, WRONG = 1, 2


def predict(client: Client, asked: argparse.Namespace) -> None:
    """Print the next value."""
    sequence = values(asked)
    answer = client.predict(sequence, **options(asked))
    show(answer, sequence, [answer.prediction], asked)


def generate(client: Client, asked: argparse.Namespace) -> None:
    """Print the next values."""
    sequence = values(asked)
    answer = client.generate(sequence, asked.steps, **options(asked))
    show(answer, sequence, answer.values, asked)
    tell_if_diverged(answer.finish_reason)


def stream(client: Client, asked: argparse.Namespace) -> None:
    """Print the next values as they are computed."""
    with client.stream(values(asked), asked.steps, **options(asked)) as rollout:
        for number, part in enumerate(rollout):
            as_json = [part.model_dump_json(exclude_none=True)]
            write(as_json if asked.json else rows(part.values, part.intervals, named=number == 0))
    if asked.json:
        print(rollout.end.model_dump_json(exclude_none=True))
    save_state(rollout.end.state, asked)
    tell_if_diverged(rollout.end.finish_reason)


def model(client: Client, asked: argparse.Namespace) -> None:
    """Print the description of the model as JSON."""
    print(client.model().model_dump_json(indent=2))


def models(client: Client, asked: argparse.Namespace) -> None:
    """Print the names of all models, the default one first."""
    write(info.name for info in client.models().models)


def values(asked: argparse.Namespace) -> list[float]:
    """Return the values that the command was given. After a state they are optional, so a terminal is not read."""
    if asked.file is not None:
        with asked.file.open(errors="replace") as file:
            return read_values(file, str(asked.file))
    if asked.state is not None and sys.stdin.isatty():
        return []
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    return read_values(sys.stdin, "input")


def options(asked: argparse.Namespace) -> Options:
    """Return the fields of the request besides its values."""
    state = None if asked.state is None else asked.state.read_text().strip()
    return {"state": state, "return_state": asked.save_state is not None, "level": asked.level, "model": asked.model}


def show(
    answer: PredictResponse | GenerateResponse,
    sequence: Sequence[float],
    forecast: Sequence[float],
    asked: argparse.Namespace,
) -> None:
    """Print an answer as JSON, as a plot or as lines, as the options say."""
    if asked.json:
        print(answer.model_dump_json(exclude_none=True))
    elif asked.plot:
        from app.client.plot import plot  # the import takes longer than most answers

        print(plot(sequence, forecast, answer.intervals))
    else:
        write(rows(forecast, answer.intervals))
    save_state(answer.state, asked)


def rows(forecast: Iterable[float], intervals: dict[str, list[float]] | None, named: bool = True) -> Iterator[str]:
    """Yield a line for each value. Intervals add a column for each end, and a first line with the columns' names."""
    if intervals and named:
        yield "\t".join(["value", *intervals])
    for row in zip(forecast, *(intervals or {}).values(), strict=True):
        yield "\t".join(map(repr, row))


def write(lines: Iterable[str]) -> None:
    """Print lines and flush them."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def save_state(state: str | None, asked: argparse.Namespace) -> None:
    """Write the state to the file of `--save-state`, if there is one. Raises ValueError if there is no state."""
    if asked.save_state is not None:
        if state is None:
            raise ValueError("there is no state to save: the rollout has stopped being finite")
        asked.save_state.write_text(f"{state}\n")


def tell_if_diverged(finish_reason: str) -> None:
    """Warn on standard error that a rollout diverged, and so has fewer values than requested."""
    if finish_reason == "diverged":
        print("python -m app.client: the rollout stopped being finite, and ended there", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    service = argparse.ArgumentParser(add_help=False)
    url = os.environ.get("SINE_URL") or URL
    service.add_argument("--url", default=url, help=f"URL of the service; default: SINE_URL, now {url}")
    service.add_argument(
        "--patience", type=float, default=10, metavar="S", help="retry for so many seconds; default: 10"
    )
    request = argparse.ArgumentParser(add_help=False, parents=[service])
    request.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the values; default: standard input")
    request.add_argument(
        "--level", type=int, action="append", help="add intervals of this level in per cent; repeatable"
    )
    request.add_argument("--state", type=Path, metavar="FILE", help="continue from the state in this file")
    request.add_argument(
        "--save-state", type=Path, metavar="FILE", help="write the state that continues this sequence to this file"
    )
    request.add_argument("--model", metavar="NAME", help="name of the model; default: the service's")
    steps = argparse.ArgumentParser(add_help=False)
    steps.add_argument("--steps", type=int, default=50, help="number of values; default: 50")

    root = argparse.ArgumentParser(
        prog="python -m app.client", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def command(run: Callable[[Client, argparse.Namespace], None], *parents: argparse.ArgumentParser) -> None:
        added = commands.add_parser(run.__name__, parents=parents, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        if request in parents:
            form = added.add_mutually_exclusive_group()
            form.add_argument("--json", action="store_true", help="print the answer of the service as JSON")
            if run is not stream:
                form.add_argument("--plot", action="store_true", help="draw the values and the forecast")

    command(predict, request)
    command(generate, request, steps)
    command(stream, request, steps)
    command(model, service)
    command(models, service)
    return root


@contextmanager
def failures(url: str) -> Iterator[None]:
    """Turn each failure of a request to the service at `url` into a line on standard error and a status."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `| head` has ended; without this, Python would fail again when it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ServiceError as error:
        stop(f"{error.status} {error}", FAILED)
    except httpx.HTTPError as error:
        stop(f"{url}: {str(error) or type(error).__name__}", FAILED)
    except ValidationError as error:
        stop("; ".join(f"{'/'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()), WRONG)
    except (ValueError, OSError, httpx.InvalidURL) as error:
        stop(str(error), WRONG)


def stop(message: str, status: int) -> None:
    """Print the message and end the program with the status."""
    print(f"python -m app.client: error: {message}", file=sys.stderr)
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the command line names."""
    asked = parser().parse_args(arguments)
    logging.basicConfig(format="python -m app.client: %(message)s")
    # The key is no option: every user of the machine can read another program's command line.
    key = os.environ.get("SINE_API_KEY") or None
    with failures(asked.url), Client(asked.url, api_key=key, patience_s=asked.patience) as client:
        asked.run(client, asked)


if __name__ == "__main__":
    main()
