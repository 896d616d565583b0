"""Tests of `python -m app.bulk`: files of series in, forecasts out, each part exactly once."""

import base64
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.datatypes import IntegerType

from app.bulk.options import Options, WrongOption
from app.bulk.places import published
from app.bulk.processes import processes
from app.bulk.run import Standing, run
from model import DEFAULT_ARTIFACT
from model.artifact import read_artifact
from model.runtime.select import open_runtime
from model.season import find_season
from tests.bulk import begin, bulk, contents, parts_of, table, wait_for_parts, write_parts
from tests.server import ROOT
from tests.waiting import wait_for

OPTIONS = ("--horizon", 5, "--level", 80, 95)


def test_a_file_of_series_becomes_a_file_of_forecasts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = table(["a", "b"])
    given.write_csv(tmp_path / "in.csv")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", *OPTIONS) == 0
    found = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert found.columns == ["unique_id", "ds", "any", "any-lo-95", "any-lo-80", "any-hi-80", "any-hi-95"]
    assert found["unique_id"].to_list() == ["a"] * 5 + ["b"] * 5
    assert found["ds"].to_list()[:5] == [
        date(2023, 5, 31),
        date(2023, 6, 30),
        date(2023, 7, 31),
        date(2023, 8, 31),
        date(2023, 9, 30),
    ]
    assert capsys.readouterr().err == "forecast 2 series; refused 0\n"


@pytest.mark.parametrize("name", ["sine", "any"])
def test_the_numbers_are_those_of_the_runtime_to_the_last_bit(tmp_path: Path, name: str) -> None:
    given = table(["a", "b", "c"], 70)
    given.write_parquet(tmp_path / "in.parquet")
    assert bulk(tmp_path / "in.parquet", tmp_path / "out.parquet", "--model", name, *OPTIONS) == 0
    found = pl.read_parquet(tmp_path / "out.parquet")
    runtime = open_runtime(read_artifact(DEFAULT_ARTIFACT.with_stem(name)), "cpu").runtime
    for series in "abc":
        values = given.filter(pl.col("unique_id") == series)["y"].to_list()
        expected, _ = runtime.forecast(values, 5, find_season(values))
        assert found.filter(pl.col("unique_id") == series)[name].to_numpy().tobytes() == expected.tobytes()


def test_a_bare_column_and_any_names_of_columns(tmp_path: Path) -> None:
    (tmp_path / "load.csv").write_text("\n".join(str(value) for value in range(30)))
    assert bulk(tmp_path / "load.csv", tmp_path / "out.csv", "--horizon", 3) == 0
    found = pl.read_csv(tmp_path / "out.csv")
    assert found["unique_id"].to_list() == ["load"] * 3
    assert found["ds"].to_list() == [31, 32, 33]
    np.testing.assert_allclose(found["any"], [30, 31, 32], atol=0.2)

    given = table(["a"]).rename({"unique_id": "store", "ds": "month", "y": "sales"})
    given.write_csv(tmp_path / "sales.csv")
    names = ("--id", "store", "--time", "month", "--column", "sales")
    assert bulk(tmp_path / "sales.csv", tmp_path / "sold.csv", "--horizon", 3, *names) == 0
    assert pl.read_csv(tmp_path / "sold.csv").columns == ["store", "month", "any"]


def test_series_that_cannot_be_forecast_are_listed_and_do_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pl.concat([table(["a"]), table(["short"], 5), table(["b"]).with_columns(y=float("nan")), table(["c"])])
    rows.write_csv(tmp_path / "in.csv")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", *OPTIONS) == 0
    assert pl.read_csv(tmp_path / "out.csv")["unique_id"].unique(maintain_order=True).to_list() == ["a", "c"]
    refused = pl.read_csv(tmp_path / "out_refused.csv")
    assert refused["unique_id"].to_list() == ["short", "b"]
    assert refused["reason"][0] == "in.csv, row 46: too few points of series 'short': 5, and at least 16 are needed"
    assert refused["reason"][1].startswith("in.csv, row 47: y is 'NaN'; a finite number ")
    listed = f"listed in {tmp_path / 'out_refused.csv'}"
    assert capsys.readouterr().err == f"forecast 2 series; refused 2 ({listed})\n"
    assert bulk(tmp_path / "in.csv", tmp_path / "strict.csv", "--strict", *OPTIONS) == 1
    assert "row 46: too few points" in capsys.readouterr().err
    assert not (tmp_path / "strict.csv").exists()


def test_a_file_of_which_no_series_can_be_forecast_has_an_empty_table(tmp_path: Path) -> None:
    table(["short"], 5).write_csv(tmp_path / "in.csv")
    for backtest in ((), ("--backtest", 2), ("--backtest", 2_000_000)):
        out = tmp_path / f"out{''.join(map(str, backtest))}.csv"
        assert bulk(tmp_path / "in.csv", out, *OPTIONS, *backtest) == 0
        assert out.read_text().count("\n") == 1


def test_forecasts_go_to_standard_output(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    table(["a"]).write_csv(tmp_path / "in.csv")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", *OPTIONS) == 0
    assert bulk(tmp_path / "in.csv", "-", *OPTIONS) == 0
    assert capfdbinary.readouterr().out == (tmp_path / "out.csv").read_bytes()


def test_a_pod_of_an_indexed_job_does_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in "abc":
        (source / f"{name}.csv").write_text(f"unique_id,ds,y\n{name},1,1\n{name},2,2\n")
    for index in (2, 0):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        assert bulk(source, tmp_path / "out", "--horizon", 2, "--model", "sine", "--workers", 1, "--shard", 3) == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.csv")) == ["a.csv", "c.csv"]


@pytest.mark.parametrize("index", [None, "", "3", "-1", "x"])
def test_a_share_without_a_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], index: str | None
) -> None:
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    if index is not None:
        monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
    (tmp_path / "in.csv").write_text("y\n1\n2\n")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", "--horizon", 2, "--model", "sine", "--shard", 3) == 2
    assert "--shard: a number alone needs JOB_COMPLETION_INDEX" in capsys.readouterr().err


def test_shards_processes_and_a_single_run_write_the_same_bytes(tmp_path: Path) -> None:
    source = write_parts(tmp_path / "in", parts=5, series=4)
    assert bulk(source, tmp_path / "whole", *OPTIONS, "--workers", 1) == 0
    assert bulk(source, tmp_path / "both", *OPTIONS, "--workers", 2) == 0
    for shard in ("2/3", "1/3", "3/3"):
        assert bulk(source, tmp_path / "shards", *OPTIONS, "--workers", 1, "--shard", shard) == 0
    whole = contents(tmp_path / "whole")
    assert len(whole) == 6
    assert contents(tmp_path / "both") == whole == contents(tmp_path / "shards")


def test_a_file_that_another_process_is_writing_stays_and_that_of_a_killed_one_goes(tmp_path: Path) -> None:
    target, forks = tmp_path / "part.csv", multiprocessing.get_context("forkserver")
    writers = [forks.Process(target=_write_and_wait, args=(target,), daemon=True) for _ in range(2)]
    for writer in writers:
        writer.start()
    wait_for("both writers", lambda: len(list(tmp_path.iterdir())) == 2, 20)
    killed, alive = writers
    killed.kill()
    killed.join()
    with published(target) as new:
        new.write_text("whole")
    (left,) = set(tmp_path.iterdir()) - {target}
    assert str(alive.pid) in left.name
    alive.kill()
    alive.join()


def _write_and_wait(target: Path) -> None:
    with published(target) as new:
        new.write_text("half")
        time.sleep(60)


def test_shards_that_begin_together_all_end_well(tmp_path: Path) -> None:
    source = write_parts(tmp_path / "in", parts=3, series=2)
    shards = [
        begin(source, tmp_path / "out", "--horizon", 2, "--model", "sine", "--workers", 1, "--shard", f"{shard}/3")
        for shard in (1, 2, 3)
    ]
    for shard in shards:
        shard.join()
    assert [shard.exitcode for shard in shards] == [0, 0, 0]
    assert len(contents(tmp_path / "out")) == 4


def test_parts_that_are_there_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_parts(tmp_path / "in", parts=3, series=2)
    assert bulk(source, tmp_path / "out", *OPTIONS, "--workers", 1) == 0
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / "part-01.parquet").unlink()
    before = (tmp_path / "out" / "part-00.parquet").stat().st_mtime_ns
    capsys.readouterr()
    assert bulk(source, tmp_path / "out", *OPTIONS, "--workers", 1) == 0
    assert capsys.readouterr().err == "forecast 2 series of 1 parts; refused 0; 2 parts had been done before\n"
    assert contents(tmp_path / "out") == whole
    assert (tmp_path / "out" / "part-00.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (("--horizon", 6), "horizon was 5 and is 6"),
        (("--level", 90), "level was [80, 95] and is [90]"),
        (("--model", "sine"), "model was any and is sine; model_sha256 was "),
        (("--backtest", 1), "backtest was 0 and is 1"),
    ],
    ids=["horizon", "level", "model", "backtest"],
)
def test_a_run_does_not_go_on_with_other_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: tuple[object, ...], why: str
) -> None:
    source = write_parts(tmp_path / "in", parts=1, series=1)
    assert bulk(source, tmp_path / "out", *OPTIONS) == 0
    assert bulk(source, tmp_path / "out", *OPTIONS, *changed) == 2
    assert why in capsys.readouterr().err


def test_a_run_does_not_go_on_with_other_files_or_over_files_of_unknown_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_parts(tmp_path / "in", parts=1, series=1)
    assert bulk(source, tmp_path / "out", *OPTIONS) == 0
    table(["other"]).write_parquet(source / "part-00.parquet")
    assert bulk(source, tmp_path / "out", *OPTIONS) == 2
    assert "the files in IN have changed" in capsys.readouterr().err
    (tmp_path / "out" / "_manifest.json").unlink()
    assert bulk(source, tmp_path / "out", *OPTIONS) == 2
    assert "does not say what it was made of" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["f.csv", "f_refused.csv", "f_scores.csv", "f_manifest.json"])
def test_a_run_never_writes_over_its_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    table(["a"]).write_csv(tmp_path / name)
    before = contents(tmp_path)
    for backtest in ((), ("--backtest", 1)):
        assert bulk(tmp_path / name, tmp_path / "f.csv", "--horizon", 2, "--model", "sine", *backtest) == 2
        assert f"would write over its input, {tmp_path / name}" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("folder", ["_refused", "_scores", "parts", "parts/deeper"])
def test_a_folder_of_output_is_no_folder_of_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    whole, inner = tmp_path / "whole", tmp_path / "whole" / folder
    inner.mkdir(parents=True)
    source, out = (inner, whole) if folder.startswith("_") else (whole, inner)
    table(["a"]).write_csv(source / "part.csv")
    before = contents(tmp_path)
    assert bulk(source, out, "--horizon", 2, "--model", "sine") == 2
    assert "OUT" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("f_refused.csv", "does not say what it was made of"),
        ("f_scores.csv", "does not say what it was made of"),
        ("f_manifest.json", "is not a manifest"),
    ],
)
def test_files_that_no_run_has_written_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    table(["a"]).write_csv(tmp_path / "in.csv")
    (tmp_path / name).write_text('{"mine": 1}')
    assert bulk(tmp_path / "in.csv", tmp_path / "f.csv", "--horizon", 2, "--model", "sine") == 2
    assert why in capsys.readouterr().err
    assert (tmp_path / name).read_text() == '{"mine": 1}'


def test_two_outputs_of_one_name_and_two_types_do_not_share_their_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(["a"]).write_csv(tmp_path / "in.csv")
    assert bulk(tmp_path / "in.csv", tmp_path / "f.csv", "--horizon", 2, "--model", "sine") == 0
    assert bulk(tmp_path / "in.csv", tmp_path / "f.parquet", "--horizon", 2, "--model", "sine") == 2
    assert f"tells of {tmp_path / 'f.csv'}" in capsys.readouterr().err
    assert bulk(tmp_path / "in.csv", tmp_path / "f.csv", "--horizon", 2, "--model", "sine") == 0


def test_parts_that_differ_in_their_type_alone_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_parts(tmp_path / "in", parts=1, series=1)
    table(["other"]).write_csv(source / "part-00.csv")
    assert bulk(source, tmp_path / "out", "--horizon", 2, "--model", "sine", "--workers", 1) == 2
    assert "two parts are called part-00" in capsys.readouterr().err


def test_a_file_without_ids_is_named_after_the_whole_name_of_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source := tmp_path / "in").mkdir()
    for name in ("s.2023.csv", "s.2024.csv"):
        (source / name).write_text("ds,y\n1,1\n2,2\n3,3\n")
    options = ("--horizon", 1, "--model", "sine", "--workers", 1)
    assert bulk(source, tmp_path / "out", *options) == 0
    for name in ("s.2023", "s.2024"):
        assert pl.read_csv(tmp_path / "out" / f"{name}.csv")["unique_id"].to_list() == [name]
    (source / "t.csv").write_text("unique_id,ds,y\ns.2023,1,1\ns.2023,2,2\n")
    assert bulk(source, tmp_path / "again", *options) == 1
    assert "t.csv, row 2: series 's.2023' also lies in" in capsys.readouterr().err


def test_a_run_that_wrote_no_forecasts_does_not_bind_the_next(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("unique_id,ds,y\na,2024-01-01,1\na,2024-01-02,nan\n")
    assert bulk(source, tmp_path / "out.csv", *OPTIONS, "--strict") == 1
    table(["a"]).write_csv(source)
    assert bulk(source, tmp_path / "out.csv", *OPTIONS, "--strict") == 0
    assert (tmp_path / "out.csv").exists()


def test_a_run_fails_if_another_one_with_other_options_has_begun_beside_it(tmp_path: Path) -> None:
    source, manifest = write_parts(tmp_path / "in", parts=2, series=1), tmp_path / "out" / "_manifest.json"

    def replace_manifest(standing: Standing) -> None:
        if not standing.parts_done:
            manifest.write_text(manifest.read_text().replace('"horizon": 5', '"horizon": 6'))

    with pytest.raises(WrongOption, match="horizon was 6 and is 5"):
        run(source, tmp_path / "out", DEFAULT_ARTIFACT, Options(horizon=5), workers=1, progress=replace_manifest)


def test_the_file_of_metrics_has_the_name_that_the_node_exporter_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(["a"]).write_csv(tmp_path / "in.csv")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", *OPTIONS, "--metrics", tmp_path / "metrics.txt") == 2
    assert "--metrics" in (error := capsys.readouterr().err)
    assert ".prom" in error


def test_a_missing_folder_of_metrics_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(["a"]).write_csv(tmp_path / "in.csv")
    metrics = ("--metrics", tmp_path / "none" / "metrics.prom")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", *OPTIONS, *metrics) == 2
    assert f"--metrics: {tmp_path / 'none'}: there is no such folder\n" in capsys.readouterr().err
    (tmp_path / "metrics.prom").mkdir()
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", *OPTIONS, "--metrics", tmp_path / "metrics.prom") == 1
    assert f"error: {tmp_path / 'metrics.prom'}: Is a directory\n" in capsys.readouterr().err


def test_a_pipe_is_forecast_like_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(["a"]).write_csv(tmp_path / "in.csv")
    assert bulk(tmp_path / "in.csv", tmp_path / "file.csv", *OPTIONS) == 0
    os.mkfifo(tmp_path / "pipe")
    for text, status in (((tmp_path / "in.csv").read_text(), 0), ("unique_id,ds,y\n", 1)):
        writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text,))
        writer.start()
        assert bulk(tmp_path / "pipe", tmp_path / f"out{status}.csv", *OPTIONS) == status
        writer.join()
    assert (tmp_path / "out0.csv").read_bytes() == (tmp_path / "file.csv").read_bytes()
    assert f"error: {tmp_path / 'pipe'}: there are no rows\n" in capsys.readouterr().err


def test_a_series_in_two_parts_is_refused_with_file_and_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_parts(tmp_path / "in", parts=2, series=3)
    pl.concat([table(["mine"]), table(["part 0 series 1"])]).write_csv(source / "part-02.csv")
    assert bulk(source, tmp_path / "out", *OPTIONS, "--workers", 1) == 1
    error = capsys.readouterr().err
    assert (
        f"{source}/part-02.csv, row 42: series 'part 0 series 1' also lies in {source}/part-00.parquet, row 41;"
        in error
    )
    assert not (tmp_path / "out").exists()


def test_rows_of_a_series_that_are_not_together_are_refused_with_file_and_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.concat([table(["a"]), table(["b"]), table(["a"])]).write_csv(tmp_path / "in.csv")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", *OPTIONS) == 1
    assert "in.csv, row 82: series 'a' began in row 2, and other series are in between" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("in.csv", "out", "--horizon", 3), "names of tables end in .csv or .parquet"),
        (("in.csv", "out.csv", "--horizon", 0), "--horizon: at least 1"),
        (("in.csv", "out.csv", "--horizon", 3, "--level", 100), "--level: whole numbers of per cent, from 1 to 99"),
        (("in.csv", "out.csv", "--horizon", 10**13), "--horizon: at most 10,000,000"),
        (("in.csv", "out.csv", "--horizon", 5, "--backtest", 10**13), "at most 2,000,000 origins"),
        (("in.csv", "out.csv", "--horizon", 9999, "--level", 80), "--horizon: with level, at most"),
        (("in.csv", "out.csv", "--horizon", 3, "--model", "none"), "'none' is neither any, sine nor the path of"),
        (("in.csv", "out.csv", "--horizon", 3, "--shard", "4/3"), "--shard: i/n, such as 2/3"),
        (("in.csv", "out.csv", "--horizon", 3, "--workers", 0), "--workers: at least 1"),
        ((".", "out.csv", "--horizon", 3), "is a folder, so OUT has to be one too"),
        ((".", ".", "--horizon", 3), "OUT has to be another folder than IN"),
        ((".", "-", "--horizon", 3), "standard output takes the forecasts of one file"),
        (("in.csv", "-", "--horizon", 3, "--shard", "2/3"), "for a file or a folder, not for standard output"),
        (("in.csv", "-", "--horizon", 3, "--metrics", "m.prom"), "for a file or a folder, not for standard output"),
        (("empty", "out", "--horizon", 3), "there is no part in this folder"),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else None,
)
def test_options_that_cannot_be_used_are_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[object, ...],
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    table(["a"]).write_csv("in.csv")
    assert bulk(*arguments) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "options", "twice"),
    [
        (("sine", "ds", "y"), ("--id", "sine"), "sine"),
        (("unique_id", "sine", "y"), ("--time", "sine"), "sine"),
        (("reason", "ds", "y"), ("--id", "reason"), "reason"),
        (("unique_id", "ds", "sine"), ("--column", "sine", "--backtest", 1), "sine"),
        (("unique_id", "ds", "cutoff"), ("--column", "cutoff", "--backtest", 1), "cutoff"),
        (("unique_id", "x", "ds"), ("--column", "ds", "--time", "x", "--backtest", 1), None),
        (("unique_id", "ds"), ("--column", "ds", "--backtest", 1), "ds"),
        (("unique_id", "y"), ("--time", "unique_id"), "unique_id"),
        (("sine-mase", "ds", "y"), ("--id", "sine-mase", "--backtest", 1), "sine-mase"),
    ],
    ids=str,
)
def test_no_column_of_the_output_takes_the_place_of_another(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    columns: tuple[str, ...],
    options: tuple[object, ...],
    twice: str | None,
) -> None:
    rows = "".join(f"1{f',{number}' * (len(columns) - 1)}\n" for number in range(1, 9))
    (tmp_path / "in.csv").write_text(f"{','.join(columns)}\n{rows}")
    status = bulk(tmp_path / "in.csv", tmp_path / "out.csv", "--horizon", 1, "--model", "sine", *options)
    error = capsys.readouterr().err
    if twice is None:
        assert status == 0
        return
    assert status == 2
    assert f"two columns of the output would be called {twice!r}" in error
    assert not (tmp_path / "out.csv").exists()


def _write_blocks(path: Path, times: tuple[list[object], list[object]]) -> None:
    """Write two series, the first one so long that the second one is read with other rows."""
    first, second = times
    repeated = "".join(f"a{series},{at},{number}\n" for series in range(10_000) for number, at in enumerate(first))
    path.write_text("unique_id,ds,y\n" + repeated + "".join(f"b,{at},{number}\n" for number, at in enumerate(second)))


def test_times_may_become_decimals_late_in_a_file(tmp_path: Path) -> None:
    _write_blocks(tmp_path / "in.csv", (list(range(1, 11)), [1, 1.5, 2, 2.5]))
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", "--horizon", 1, "--model", "sine") == 0
    found = pl.read_csv(tmp_path / "out.csv")
    assert found["ds"].to_list()[0] == 11
    assert found["ds"].to_list()[-1] == 3


def test_times_that_become_dates_late_in_a_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write_blocks(tmp_path / "in.csv", (list(range(1, 11)), ["2024-01-01", "2024-01-02"]))
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", "--horizon", 1, "--model", "sine") == 1
    assert "ds has numbers before this row, and dates without an offset from here on" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.Int16, pl.Int32])
def test_times_that_leave_the_type_of_their_column_are_refused(tmp_path: Path, dtype: type[IntegerType]) -> None:
    last = int(pl.select(dtype.max()).item())
    times = pl.Series(list(range(last - 9, last + 1)), dtype=dtype)
    pl.DataFrame({"ds": times, "y": range(10)}).write_parquet(tmp_path / "in.parquet")
    assert bulk(tmp_path / "in.parquet", tmp_path / "out.parquet", "--horizon", 2, "--model", "sine") == 0
    assert f"at {last} at most" in pl.read_csv(tmp_path / "out_refused.csv")["reason"][0]


@pytest.mark.parametrize(("zone", "real"), [("+05:30", "Israel"), ("Nowhere/Else", "Asia/Kolkata")])
def test_a_zone_that_does_not_exist_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], zone: str, real: str
) -> None:
    hours = pl.datetime_range(datetime(2024, 1, 1), datetime(2024, 1, 2), "1h", time_zone=real, eager=True)
    pl.DataFrame({"ds": hours, "y": range(25)}).write_parquet(tmp_path / "in.parquet")
    content = (tmp_path / "in.parquet").read_bytes()  # polars writes no such zone; other programs do
    (schema,) = re.findall(rb"[A-Za-z0-9+/]{100,}=*", content)
    changed = base64.b64encode(base64.b64decode(schema).replace(real.encode(), zone.encode()))
    (tmp_path / "in.parquet").write_bytes(content.replace(schema, changed))
    assert bulk(tmp_path / "in.parquet", tmp_path / "out.csv", "--horizon", 2, "--model", "sine") == 1
    assert f"there is no time zone {zone!r}; a name such as Asia/Kolkata" in capsys.readouterr().err


def test_a_store_without_pyarrow_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)  # whether it is installed or not
    assert bulk("s3://bucket/in", "s3://bucket/out", "--horizon", 2, "--model", "sine") == 2
    assert "pip install '.[remote]'" in capsys.readouterr().err


def test_a_backtest_has_forecasts_from_each_origin_and_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = table(["a", "b"], 60)
    given.write_csv(tmp_path / "in.csv")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", *OPTIONS, "--backtest", 3) == 0
    found = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert found.columns[:5] == ["unique_id", "ds", "cutoff", "y", "any"]
    assert len(found) == 2 * 3 * 5
    joined = found.join(given, on=["unique_id", "ds"], how="left")
    assert joined["y"].to_list() == joined["y_right"].to_list()
    for (series, cutoff), rows in found.group_by("unique_id", "cutoff", maintain_order=True):
        past = given.filter((pl.col("unique_id") == series) & (pl.col("ds") <= cutoff))
        past.write_csv(tmp_path / f"{series}{cutoff}.csv")
        assert bulk(tmp_path / f"{series}{cutoff}.csv", tmp_path / f"out-{series}{cutoff}.csv", *OPTIONS) == 0
        alone = pl.read_csv(tmp_path / f"out-{series}{cutoff}.csv", try_parse_dates=True)
        assert rows.select(alone.columns).equals(alone)
        break

    scores = pl.read_csv(tmp_path / "out_scores.csv")
    rows, values = found.filter(unique_id="a"), given.filter(unique_id="a")["y"].to_numpy()[: 60 - 15]
    season = find_season(values)
    apart = values[season:] - values[:-season]
    error = (rows["any"] - rows["y"]).to_numpy()
    assert scores["any-mase"][0] == pytest.approx(np.abs(error).mean() / np.abs(apart).mean())
    assert scores["any-rmsse"][0] == pytest.approx(np.sqrt((error**2).mean() / (apart**2).mean()))
    inside = (rows["any-lo-80"] <= rows["y"]) & (rows["y"] <= rows["any-hi-80"])
    assert scores["coverage-80"][0] == pytest.approx(inside.mean())
    printed = capsys.readouterr().err
    mean = float(np.mean(scores["seasonal-naive-mase"].to_numpy()))
    assert f"seasonal-naive-mase      {mean:.4f}\n" in printed


@pytest.mark.parametrize("module", ["tyro", "numpy", "torch"])
def test_ctrl_c_during_the_imports_ends_the_command_with_one_line(tmp_path: Path, module: str) -> None:
    source = write_parts(tmp_path / "in", parts=3, series=1)
    (tmp_path / "sitecustomize.py").write_text(f"""import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r} and "forkserver" not in str(sys.argv):
            os.killpg(0, signal.SIGINT)  # as a terminal does
sys.meta_path.insert(0, Interrupt())
""")
    command = [sys.executable, "-m", "app.bulk", str(source), str(tmp_path / "out"), "--horizon", "2", "--workers", "2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "client")])}
    with (tmp_path / "said").open("w") as said:  # no pipe, which processes that still end would hold open
        ended = subprocess.run(command, cwd=ROOT, env=environment, stderr=said, start_new_session=True, timeout=60)
    said_lines = (tmp_path / "said").read_text().splitlines()
    assert said_lines == ["python -m app.bulk: error: interrupted; the same command continues"]
    assert ended.returncode == 130


def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_bytes(tmp_path: Path) -> None:
    source = write_parts(tmp_path / "in", parts=12, series=60)
    assert bulk(source, tmp_path / "whole", *OPTIONS, "--workers", 1) == 0
    killed, moments, out = 0, np.random.default_rng(), tmp_path / "killed"
    for _ in range(10):
        if len(parts_of(out)) == 12:
            shutil.rmtree(out)
        before = len(parts_of(out))
        process = begin(source, out, *OPTIONS, "--workers", 1)
        wait_for_parts(out, before + int(moments.integers(12 - before)), process.is_alive)
        killed += process.is_alive()
        process.kill()
        process.join()
    assert killed
    assert bulk(source, tmp_path / "killed", *OPTIONS, "--workers", 1) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_killed_after_its_work_holds_nobody_up(victim: int) -> None:
    before = multiprocessing.active_children()
    with processes(2) as each:
        assert sorted(each(abs, [-1, -2])) == [(0, 1), (1, 2)]
        workers = [process for process in multiprocessing.active_children() if process not in before]
        os.kill(workers[min(victim, len(workers) - 1)].pid or 0, signal.SIGKILL)
    for worker in workers:
        worker.join(60)
        assert worker.exitcode is not None
