"""Compares forecasts of real series: models of this project, baselines, statistical methods and, as options, networks.

    python -m benchmarks.series --artifact FILE.pt

It needs the extra `examples`: `pip install -c constraints.txt -e '.[examples]'`. `benchmarks/real/registry.py` has the
table of the series, `benchmarks/real/protocol.py` the origins, and `benchmarks/real/measures.py` the measures. All
forecasts are kept in runs/series/, so a run that was stopped goes on where it was. The first run takes hours of
processor time. Commands with different `--only` may run at the same time, and one without it afterwards uses their
forecasts. A run of all series fills the tables of docs/series.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import document
from benchmarks.real.forecasts import Forecaster, Refused
from benchmarks.real.members import WithMembers
from benchmarks.real.naive import SEASONAL_NAIVE, baselines
from benchmarks.real.neural import OPTIONS, option
from benchmarks.real.packages import read
from benchmarks.real.protocol import Made, forecasts, kept_in, measured
from benchmarks.real.registry import DEVELOPMENT, TEST, RealSeries, by_name
from benchmarks.real.served import served
from benchmarks.real.statistical import COMBINED, MEDIAN, median, statistical
from benchmarks.real.tables import Result, Results, series_table, totals_table
from benchmarks.report import ROOT, Table, save
from training.data import Floats

FOLDER = ROOT / "runs" / "series"


def main(arguments: Sequence[str] | None = None) -> int:
    warnings.filterwarnings("ignore", module=r"statsforecast|statsmodels|sktime|numpy")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.series", description=__doc__)
    parser.add_argument("--artifact", type=Path, action="append", default=[], help="a model to measure; repeatable")
    parser.add_argument("--members", action="store_true", help="the model that a training on each series makes, too")
    parser.add_argument("--series", nargs="+", metavar="NAME", help="only these series; no page is filled")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="of the forecasters without options only these, and seasonal naive"
    )
    parser.add_argument("--option", choices=OPTIONS, action="append", default=[], help="a network too; repeatable")
    parser.add_argument("--again", nargs="+", metavar="NAME", default=[], help="delete the forecasts of these first")
    given = parser.parse_args(arguments)
    for name in given.again:
        shutil.rmtree(kept_in(FOLDER, name), ignore_errors=True)
    try:
        every = by_name(given.series)
        values = {series.name: read(series) for series in every}
    except (ImportError, ValueError) as error:
        parser.error(f"{error}; the series are in the packages of the extra `examples`")
    standard = [*baselines(), *statistical()]
    if unknown := set(given.only or ()) - {forecaster.name for forecaster in standard}:
        parser.error(f"no forecaster {', '.join(unknown)}; there are {', '.join(one.name for one in standard)}")
    forecasters = list(chosen(standard, given.option, given.artifact, given.only, given.members))
    results = run(forecasters, every, values, FOLDER)
    tables = tables_of(results, every)
    if given.series:
        print("\n".join(f"\n{name}\n\n{table}" for name, table in tables.items()))
        return 0
    data = {name: {series: asdict(result) for series, result in of.items()} for name, of in results.items()}
    save("series", tables, data)
    document.main([])
    return 0


def chosen(
    standard: Sequence[Forecaster],
    options: Sequence[str],
    artifacts: Sequence[Path],
    only: Sequence[str] | None,
    members: bool = False,
) -> Iterator[Forecaster]:
    """Yield the forecasters to run. Those that cannot run here are named with the reason and left out."""
    for forecaster in standard:
        if only is None or forecaster.name in {*only, SEASONAL_NAIVE.name}:
            yield forecaster
    for name in options:
        try:
            yield option(name)
        except Refused as refusal:
            print(f"{name}: left out: {refusal}", flush=True)
    if members:
        yield WithMembers()
    for path in artifacts:
        try:
            yield from served(path)
        except Refused as refusal:
            print(f"{path}: left out: {refusal}", flush=True)


def run(
    forecasters: Sequence[Forecaster], every: Sequence[RealSeries], values: Mapping[str, Floats], folder: Path
) -> dict[str, dict[str, Result]]:
    """Return the results by forecaster and series. The median of the combined methods follows them if all are there."""
    made: dict[str, dict[str, list[Made]]] = {forecaster.name: {} for forecaster in forecasters}
    for forecaster in forecasters:
        for series in every:
            try:
                made_O = forecasts(series, values[series.name], forecaster, folder)
            except Exception as error:  # a rival may raise anything; the tables show a gap, and the others go on
                print(f"{forecaster.name}, {series.name}: no forecast: {type(error).__name__}: {error}", flush=True)
                continue
            made[forecaster.name][series.name] = made_O
            seconds = sum(one.seconds for one in made_O)
            print(f"{forecaster.name}, {series.name}: {len(made_O)} forecasts, {seconds:.3g} s", flush=True)
    if made.keys() >= set(COMBINED):
        made[MEDIAN] = medians([made[name] for name in COMBINED])
    return {
        name: {
            series.name: Result(
                measured(series, values[series.name], [one.forecast for one in of[series.name]]),
                statistics.mean(one.seconds for one in of[series.name]),
                len(values[series.name]),
            )
            for series in every
            if series.name in of
        }
        for name, of in made.items()
    }


def medians(made: Sequence[Mapping[str, list[Made]]]) -> dict[str, list[Made]]:
    """Return the median of several forecasters on each series that all of them have forecast. Their times add up."""
    return {
        name: [
            Made(median([one.forecast for one in at_origin]), sum(one.seconds for one in at_origin))
            for at_origin in zip(*(of[name] for of in made), strict=True)
        ]
        for name in made[0]
        if all(name in of for of in made)
    }


def tables_of(results: Results, every: Sequence[RealSeries]) -> dict[str, Table]:
    """Return the tables of docs/series.md: totals and single series, of the test and of the development series."""
    tables = {}
    for title, part in (("test", TEST), ("development", DEVELOPMENT)):
        here = [series for series in part if series in every]
        if here:
            tables[f"{title} totals"] = totals_table(results, here)
            tables[f"{title} series"] = series_table(results, here)
    return tables


if __name__ == "__main__":
    raise SystemExit(main())
