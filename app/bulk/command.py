"""The command line of bulk forecasts: its options, and the errors that end it."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, NoReturn

# A process for each core does the work, so a process needs no threads. Libraries read this when they are imported.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import tyro

from app.bulk.processes import prepare
from app.cpus import usable_cpus
from model.series.gaps import Fill

INDEX = "JOB_COMPLETION_INDEX"
"""Kubernetes gives each pod of an Indexed Job this variable, with the number of the pod from 0 on."""

FAILED, WRONG = 1, 2


@dataclass(frozen=True)
class Command:
    """Forecast a file of series, or a folder of parts.

    IN is a CSV or Parquet file in long form (unique_id, ds, y), one series with its times, or a column of numbers; or a
    folder of such files. OUT gets unique_id, ds, the forecast under the model's name, and the ends of its intervals. A
    run that was killed continues when it is started again with the same options.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(name="IN")]
    """The file or the folder to read. s3://BUCKET/FOLDER and gs://BUCKET/FOLDER need the extra `remote`."""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(name="OUT")]
    """The file or the folder to write; the name of a file says its type, .csv or .parquet. - is standard output."""

    horizon: int
    """The number of steps to forecast for each series."""

    level: tuple[int, ...] = field(default=())
    """Levels of prediction intervals in per cent, such as 80 95."""

    model: str = "any"
    """The model: the name of one that ships, or the path of an artifact (.pt)."""

    column: str | None = None
    """The column of values; by default y, or the only one."""

    time: str | None = None
    """The column of times; by default ds. Without times, values are evenly spaced."""

    id: str | None = None
    """The column that names the series of each row; by default unique_id. Without it, a file is one series."""

    fill: Fill | None = None
    """The values that close gaps. Without it, a series with a gap is refused."""

    backtest: int = 0
    """Forecast from so many rolling origins in the past instead, and measure the errors."""

    workers: int = field(default_factory=usable_cpus)
    """The number of processes. A process works on one part at a time."""

    engine: Literal["processes", "ray"] = "processes"
    """The workers: processes of this machine, or tasks of the Ray cluster at RAY_ADDRESS."""

    shard: str = "1/1"
    """Work on a share of the parts alone: 2/3 is the second of three. Each share may run on another machine. With a
    number alone, such as 3, JOB_COMPLETION_INDEX says which share it is, from 0 on: in an Indexed Job of Kubernetes."""

    metrics: Path | None = None
    """The file (.prom) to write the run's metrics to, for the textfile collector of Prometheus' node exporter."""

    strict: bool = False
    """Stop at the first series that cannot be forecast."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. `app/bulk/__main__.py` has the exit statuses."""
    command = tyro.cli(Command, args=arguments, prog="python -m app.bulk")
    if command.workers > 1 and command.engine == "processes" and command.source.is_dir():
        prepare()
    from app.bulk.options import WrongOption
    from app.bulk.processes import WorkerDied
    from model.artifact import ArtifactError
    from model.runtime.select import DeviceUnavailable
    from model.series.table import SeriesError

    try:
        _run(command)
    except (WrongOption, ArtifactError) as error:
        _stop(WRONG, str(error))
    except (SeriesError, WorkerDied, DeviceUnavailable) as error:
        _stop(FAILED, str(error))
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except MemoryError:
        _stop(FAILED, "too little memory; smaller parts, a smaller --horizon and fewer --workers need less")
    except OSError as error:
        _stop(FAILED, f"{error.filename or 'output'}: {error.strerror or error}")


def _run(command: Command) -> None:
    from app.bulk.cluster import ray_tasks
    from app.bulk.metrics import RunMetrics
    from app.bulk.options import Options, WrongOption, artifact_path
    from app.bulk.places import rereadable
    from app.bulk.remote import located
    from app.bulk.run import Standing, run, run_to_output
    from app.bulk.screen import progress_bar, say_output, say_summary

    options = Options(
        horizon=command.horizon,
        level=tuple(sorted(set(command.level))),
        column=command.column,
        time=command.time,
        id=command.id,
        fill=command.fill,
        backtest=command.backtest,
        strict=command.strict,
    )
    if command.workers < 1:
        raise WrongOption("--workers: at least 1")
    if command.metrics is not None and command.metrics.suffix != ".prom":
        raise WrongOption(f"--metrics: {command.metrics}: the node exporter reads files whose names end in .prom")
    if command.metrics is not None and not command.metrics.parent.is_dir():
        raise WrongOption(f"--metrics: {command.metrics.parent}: there is no such folder")
    model, shard = artifact_path(command.model), _shard(command.shard)
    source, out = located(command.source), located(command.out)
    if str(command.out) == "-":
        if command.metrics or shard != (1, 1) or command.engine != "processes":
            raise WrongOption("--metrics, --shard and --engine: for a file or a folder, not for standard output")
        done = run_to_output(source, model, options)
        sys.stdout.flush()
        say_output(done)
        return
    metrics = RunMetrics(command.metrics) if command.metrics else None
    with progress_bar() as bar:

        def progress(standing: Standing) -> None:
            bar(standing.ready, standing.of)
            if metrics is not None:
                metrics.show(standing)

        engine = ray_tasks() if command.engine == "ray" else None
        with rereadable(source) as file:
            summary = run(file, out, model, options, command.workers, shard, progress, engine)
    if metrics is not None:
        metrics.succeed()
    say_summary(summary)


def _shard(text: str) -> tuple[int, int]:
    from app.bulk.options import WrongOption

    if re.fullmatch(r"\d{1,9}", text):
        index = os.environ.get(INDEX, "")
        if not re.fullmatch(r"\d{1,9}", index) or int(index) >= int(text):
            raise WrongOption(f"--shard: a number alone needs {INDEX}, a number from 0 to {text} less 1")
        return int(index) + 1, int(text)
    numbers = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not numbers or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise WrongOption("--shard: i/n, such as 2/3, with i from 1 to n")
    return int(numbers[1]), int(numbers[2])


def _stop(status: int, message: str) -> NoReturn:
    print(f"python -m app.bulk: error: {message}", file=sys.stderr)
    sys.exit(status)
