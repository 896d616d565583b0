"""A run over all parts: survey, manifest, and a process for each core. The parts know nothing of each other."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl

from app.bulk.manifest import Survey, check_parts, described, survey, write_or_compare
from app.bulk.options import Options, WrongOption, check
from app.bulk.part import Done, Task, forecast_part
from app.bulk.places import Part, places
from app.bulk.processes import Each, processes
from model.artifact import read_artifact


class Standing(NamedTuple):
    """How far a run has come."""

    ready: int
    """The number of series in the parts that are done, of those that were left."""

    of: int
    """The number of series in all parts that were left."""

    parts_done: int
    parts: int
    series: int
    """The number of series that have been forecast."""

    refused: int
    misfits: int

    def after(self, size: int, done: Done) -> "Standing":
        """Return the standing after one more part, of `size` series."""
        return self._replace(
            ready=self.ready + size,
            parts_done=self.parts_done + 1,
            series=self.series + done.series,
            refused=self.refused + len(done.refused),
            misfits=self.misfits + done.misfits,
        )


Progress = Callable[[Standing], object]


@dataclass(frozen=True)
class Summary:
    """The result of a run."""

    series: int
    """The number of series that were forecast now."""

    parts: int
    skipped: int
    """The number of parts that were there already."""

    refused: int
    """The number of series that could not be forecast, in all parts that are there."""

    refused_at: Path
    """The file or the folder that lists them."""

    misfits: int
    """The number of series forecast now that the model does not fit."""

    scores: list[Path]
    """The scores of a backtest, of all parts that are there."""


def run(
    source: Path,
    out: Path,
    model: Path,
    options: Options,
    workers: int,
    shard: tuple[int, int] = (1, 1),
    progress: Progress = lambda standing: None,
    engine: AbstractContextManager[Each] | None = None,
) -> Summary:
    """Forecast all parts of `source`, or those of a shard: every n-th part from the i-th on, for `shard` (i, n).

    Parts that are there already are skipped. The work is done by so many `workers`, processes of this machine, or by an
    `engine`: whatever calls a function for each of several things, on any machine that finds the files.

    Raises:
        WrongOption: the files or the options cannot be used, or the output was begun with others.
        SeriesError: a part cannot be read, or a series lies in two parts.
        ArtifactError: the model cannot be used.
        WorkerDied: a worker process was killed.
    """
    if engine is not None:  # another machine has another working directory
        source, out, model = (path.absolute() for path in (source, out, model))
    artifact = read_artifact(model)
    check(options, artifact.intervals)
    found = places(source, out)
    with engine or processes(min(workers, len(found.parts))) as each:
        surveyed = dict(each(partial(_survey, id=options.ids), found.parts))
        surveys = [surveyed[number] for number in range(len(found.parts))]
        inputs = {part.source.name: survey.digest for part, survey in zip(found.parts, surveys, strict=True)}
        check_parts([part.source for part in found.parts], surveys, options.ids)
        output = "" if source.is_dir() else out.name
        manifest = described(artifact.metadata.name, artifact.digest, options, inputs, output)
        write_or_compare(found, manifest)
        numbers = range(shard[0] - 1, len(found.parts), shard[1])
        left = [number for number in numbers if not found.parts[number].target.exists()]
        sizes = [len(surveys[number].id_B) for number in left]
        tasks = [Task(found.parts[number], model, artifact.digest, options) for number in left]
        skipped = len(numbers) - len(tasks)
        standing = Standing(0, sum(sizes), skipped, len(numbers), 0, 0, 0)
        progress(standing)
        for number, done in each(forecast_part, tasks):
            standing = standing.after(sizes[number], done)
            progress(standing)
        # A run with other options may have begun before this one wrote its first part, and replaced the manifest.
        if tasks:
            write_or_compare(found, manifest)
    there = [part for part in found.parts if part.target.exists()]
    refused = [part.refused for part in there if part.refused.exists()]
    scores = [part.scores for part in there if options.backtest and part.scores.exists()]
    return Summary(
        standing.series,
        parts=len(tasks),
        skipped=skipped,
        refused=sum(pl.read_csv(path.read_bytes(), columns=[0]).height for path in refused),
        refused_at=found.parts[0].refused.parent if source.is_dir() else found.parts[0].refused,
        misfits=standing.misfits,
        scores=scores,
    )


def run_to_output(source: Path, model: Path, options: Options) -> Done:
    """Forecast the series of one file, and write them to standard output. `run` has the errors."""
    artifact = read_artifact(model)
    check(options, artifact.intervals)
    if source.is_dir():
        raise WrongOption(f"{source}: is a folder; standard output takes the forecasts of one file")
    return forecast_part(Task(Part(source, source, source, source), model, artifact.digest, options, to_output=True))


def _survey(part: Part, id: str | None) -> Survey:
    return survey(part.source, id)
