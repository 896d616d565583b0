"""The progress and the last lines of a run on the screen. They go to standard error; forecasts may go to the output."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.bulk.backtest import read_summary
from app.bulk.part import Done
from app.bulk.run import Summary


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], object]]:
    """Yield a function that shows progress on a terminal: series a second, and the time left."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} series"),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=None, rate="")

        def progress(done: int, of: int) -> None:
            speed = shown.tasks[0].speed
            shown.update(task, completed=done, total=of, rate=f"{speed:,.0f} series/s" if speed else "")

        yield progress


def say_summary(summary: Summary) -> None:
    """Print the mean of each score over all series, if there are scores, and the last line of a run."""
    for name, value in read_summary(summary.scores).items() if summary.scores else ():
        _say(f"{name:<24} {'none' if value is None else format(value, '.4f')}")
    parts = f" of {summary.parts} parts" if summary.parts + summary.skipped > 1 else ""
    there = f"; {summary.skipped} part{'s'[: summary.skipped != 1]} had been done before" if summary.skipped else ""
    listed = f" (listed in {summary.refused_at})" if summary.refused else ""
    _say(_forecast(f"{summary.series:,} series{parts}", summary.misfits, summary.refused) + listed + there)


def say_output(done: Done) -> None:
    """Print the refused series and the last line of a run that has written to standard output."""
    for refused in done.refused:
        _say(f"refused {refused.id}: {refused.reason}")
    _say(_forecast(f"{done.series:,} series", done.misfits, len(done.refused)))


def _forecast(series: str, misfits: int, refused: int) -> str:
    unfit = f" ({misfits:,} of a kind that the model was not trained for)" if misfits else ""
    return f"forecast {series}{unfit}; refused {refused:,}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
