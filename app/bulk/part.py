"""One part in, one part out. `forecast_part` is a pure function of its task and of the files that the task names.

It may run in any process, and twice: the same task writes the same bytes. What is written first is aside, and a rename
puts it in its place, the forecasts last. So a part whose forecasts are there is done.
"""

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch

from app.bulk.backtest import backtest
from app.bulk.options import Options
from app.bulk.places import Part, series_of
from app.bulk.tables import REASON, check_names, csv_of, repeated, write_refused, write_table
from model.artifact import read_artifact
from model.forecast import Model, SeriesForecasts
from model.runtime.select import open_runtime
from model.series.ends import with_times
from model.series.panel import UNIQUE_ID, Choice, Panel, Refused, read_panels
from model.series.table import SeriesError
from sine_client.dates import following


@dataclass(frozen=True)
class Task:
    """One part of the work. It can be pickled."""

    part: Part
    model: Path
    digest: str
    """The sha256 of the artifact, hexadecimal. Any other artifact is refused."""

    options: Options
    to_output: bool = False
    """True if the forecasts go to standard output as CSV, and nothing is written beside them."""


@dataclass(frozen=True)
class Done:
    """The result of a part."""

    series: int
    """The number of series that were forecast."""

    refused: list[Refused]
    misfits: int
    """The number of those that the model does not fit."""


@lru_cache(maxsize=2)
def opened(path: Path, digest: str) -> Model:
    """Return a model with its runtime on the CPU. A process opens it once.

    Raises:
        ArtifactError: the artifact cannot be used, or it is not the one with this digest.
    """
    torch.set_num_threads(1)
    artifact = read_artifact(path, [digest])
    return Model(artifact, open_runtime(artifact, "cpu").runtime)


def forecast_part(task: Task) -> Done:
    """Forecast the series of a part, and write the forecasts.

    Raises:
        WrongOption: two columns of the output would have the same name.
        SeriesError: the part cannot be read, or with `strict` a series of it cannot be forecast.
        ArtifactError: the model cannot be used.
        OSError: something cannot be written.
    """
    model, options, part = opened(task.model, task.digest), task.options, task.part
    intervals = model.artifact.intervals
    fewest = intervals.contexts[0] if options.level and intervals is not None else 1
    fewest += options.backtest * options.horizon
    choice = Choice(options.column, options.time, options.id, options.fill, fewest)
    done = [_block(panel, model, options, part.source.name) for panel in read_panels(part.source, choice)]
    refused = [each for block in done for each in block.refused]
    if options.strict and refused:
        raise SeriesError(f"{refused[0].reason} (--strict)")
    frame = pl.concat([block.frame for block in done])
    if task.to_output:
        sys.stdout.buffer.write(csv_of(frame))
    else:
        write_refused(refused, options.id or UNIQUE_ID, part.refused)
        if options.backtest:
            write_table(pl.concat([block.scores for block in done if block.scores is not None]), part.scores)
        write_table(frame, part.target)
    return Done(sum(block.series for block in done), refused, sum(block.misfits for block in done))


class _Block(NamedTuple):
    """The result of some of the series of a part."""

    frame: pl.DataFrame
    scores: pl.DataFrame | None
    series: int
    refused: list[Refused]
    misfits: int


def _block(panel: Panel, model: Model, options: Options, source: str) -> _Block:
    if panel.columns.id is None:  # a file without ids is one series with the name of the file
        panel = _named(panel, series_of(Path(source)))
    _check_names(panel, model.artifact.metadata.name, options, source)
    panel = with_times(panel, 0 if options.backtest else options.horizon, source)
    scores = None
    if options.backtest:
        frame, scores, forecasts = backtest(panel, model, options)
    else:
        forecasts = model.forecast(panel.value_N, panel.start_B1, options.horizon, options.level)
        frame = forecast_table(panel, model, options, forecasts)
    infinite = [
        Refused(name, f"{source}: the forecast of series {str(name)!r} stops being finite")
        for name in panel.ids.filter(pl.Series(~forecasts.finite_B))
    ]
    series = int(np.count_nonzero(forecasts.finite_B))
    misfits = int(np.count_nonzero(forecasts.finite_B & ~forecasts.fits_B))
    return _Block(frame, scores, series, panel.refused + infinite, misfits)


def forecast_table(panel: Panel, model: Model, options: Options, forecasts: SeriesForecasts) -> pl.DataFrame:
    """Return the forecasts as a table: id, time, the model's value, and the ends of its intervals."""
    steps, name = options.horizon, model.artifact.metadata.name
    ahead_S = np.arange(1, steps + 1)
    at_BS = following(panel.last, panel.frequencies, panel.frequency_B, ahead_S, panel.form.zone)
    columns = {
        panel.columns.id_written: repeated(panel.ids, steps),
        panel.columns.time_written: panel.form.written(at_BS.ravel(), panel.last, steps),
        name: forecasts.values_BS.ravel(),
    }
    frame = pl.DataFrame(columns | {f"{name}-{end}": end_BS.ravel() for end, end_BS in forecasts.ends.items()})
    if forecasts.finite_B.all():
        return frame
    return frame.filter(pl.Series(np.repeat(forecasts.finite_B, steps)))


def _check_names(panel: Panel, model: str, options: Options, source: str) -> None:
    """Raise WrongOption if two columns of the output would have the same name."""
    id, time, value = panel.columns.id_written, panel.columns.time_written, panel.columns.value
    ends = [f"{model}-{end}-{level}" for end in ("lo", "hi") for level in options.level]
    if options.backtest:
        measures = [f"{name}-{measure}" for name in (model, "seasonal-naive") for measure in ("mase", "rmsse")]
        scores = [id, *measures, *(f"coverage-{level}" for level in options.level)]
        check_names(source, [id, time, "cutoff", value, model, *ends], [id, REASON], scores)
    else:
        check_names(source, [id, time, model, *ends], [id, REASON])


def _named(panel: Panel, name: str) -> Panel:
    refused = [Refused(name, each.reason) for each in panel.refused]
    return replace(panel, ids=pl.Series([name] * len(panel.ids), dtype=pl.String), refused=refused)
