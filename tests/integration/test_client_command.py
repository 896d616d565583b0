"""The command line of the client, `sine`, against real servers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sine_client import Client
from sine_client.files import read_csv
from sine_client.starts import times_after
from tests.bulk import bulk, table
from tests.server import ROOT, Server

WAVE = [0.0, 0.7071, 1.0, 0.7071, 0.0, -0.7071, -1.0, -0.7071] * 8


def ask(server: Server, *arguments: object, text: str | None = None, **environment: str) -> tuple[int, str, str]:
    """The status and what was written by `sine`."""
    ran = subprocess.run(
        [sys.executable, "-m", "sine_client", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"SINE_URL": server.url} | environment,
        input=text if text is not None else "\n".join(map(str, WAVE)),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_the_command_line_prints_one_number_a_line(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        answer = client.generate(WAVE, 300)
    lines = "".join(f"{value}\n" for value in answer.values)
    assert ask(server, "generate", "--steps", 300) == (0, lines, "")
    assert ask(server, "stream", "--steps", 300) == (0, lines, "")
    (tmp_path / "wave.csv").write_text(", ".join(map(str, WAVE)))
    assert ask(server, "predict", tmp_path / "wave.csv", text="not read") == (0, f"{answer.values[0]}\n", "")


def test_levels_are_columns_with_names(server: Server) -> None:
    with Client(server.url) as client:
        answer = client.generate(WAVE, 256, level=[80, 95])
    assert answer.intervals is not None
    columns = [answer.values, *answer.intervals.values()]
    rows = ["value\tlo-95\tlo-80\thi-80\thi-95", *("\t".join(map(str, row)) for row in zip(*columns, strict=True))]
    for command in ("generate", "stream"):
        status, printed, _ = ask(server, command, "--steps", 256, "--level", 80, "--level", 95)
        assert (status, printed.splitlines()) == (0, rows)


def test_json_is_what_the_service_answers(server: Server) -> None:
    with Client(server.url) as client:
        answer = client.generate(WAVE, 300)
        model = client.model()
    assert json.loads(ask(server, "generate", "--steps", 300, "--json")[1]) == answer.model_dump(exclude_unset=True)
    *parts, end = map(json.loads, ask(server, "stream", "--steps", 300, "--json")[1].splitlines())
    assert [value for part in parts for value in part["values"]] == answer.values
    assert end == {"finish_reason": "length"}
    assert json.loads(ask(server, "model")[1]) == model.model_dump()


def test_a_plot_is_drawn_as_wide_as_the_terminal(server: Server) -> None:
    status, drawn, errors = ask(server, "generate", "--steps", 100, "--plot", "--level", 95, COLUMNS="100")
    assert (status, errors) == (0, "")
    assert 86 <= max(map(len, drawn.splitlines())) <= 100
    assert "lo-95" in drawn


def test_a_state_goes_from_file_to_file(server: Server, tmp_path: Path) -> None:
    whole = ask(server, "predict")[1]
    state = tmp_path / "state"
    first, rest = (" ".join(map(str, part)) for part in (WAVE[:40], WAVE[40:]))
    assert ask(server, "predict", "--save-state", state, text=first)[0] == 0
    assert ask(server, "predict", "--state", state, "--save-state", state, text=rest) == (0, whole, "")
    ahead = ask(server, "stream", "--state", state, "--save-state", state, "--steps", 3, text="")[1]
    assert (
        ahead + ask(server, "generate", "--state", state, "--steps", 4, text="")[1]
        == ask(server, "generate", "--steps", 7)[1]
    )


@pytest.mark.parametrize(
    ("arguments", "text", "status", "said"),
    [
        (["predict"], "1 2\nthree", 2, "error: input, line 2: 'three' is not a finite number"),
        (["predict"], "", 2, "error: input: there are no values in it"),
        (["generate"], "\n , \n", 2, "error: input: there are no values in it"),
        (["predict"], "0,5\n0,7\n", 2, "error: input, line 1: '0,5' may have a decimal comma: write a decimal point"),
        (["predict"], "1_0 2_0", 2, "error: input, line 1: '1_0' is not a finite number"),
        (["predict"], "\uff11", 2, "is not a finite number"),
        (["predict"], "1\x00", 2, "this is not text in UTF-8"),
        (["predict", "."], "1", 2, "error: .: Is a directory"),
        (["predict", sys.executable], "1", 2, "this is not text in UTF-8"),
        (["predict", "no-such-file"], "1", 2, "no-such-file"),
        (["predict", "--state", "no-such-file"], "1", 2, "no-such-file"),
        (["generate", "--steps", "0"], "1", 2, "error: steps: Input should be greater than or equal to 1"),
        (["generate", "--steps", "10001"], "1", 1, "error: 422 /steps: input should be less than or equal to 10000"),
        (["predict", "--url", "http://127.0.0.1:9", "--patience", "0"], "1", 1, "error: http://127.0.0.1:9: "),
        (["predict", "--url", "127.0.0.1:9", "--patience", "0"], "1", 1, "refused; --url gives another address"),
        (
            ["predict", "--url", "http://host:port"],
            "1",
            2,
            "error: --url has a port that is not a number from 1 to 65535",
        ),
        (["predict", "--url", "ftp://host"], "1", 2, "error: --url does not begin with http:// or https://"),
        (["predict", "--url", ""], "1", 2, "error: --url has no valid host"),
        (["generate", "--steps", "1e3"], "1", 2, "error: argument --steps: this is not a whole number"),
        (["generate", "--steps", "5_0"], "1", 2, "error: argument --steps: this is not a whole number"),
        (["predict", "--level", "80.5"], "1", 2, "error: argument --level: this is not a whole number"),
        (["predict", "--level", "100"], "1", 2, "error: level/0: Input should be less than or equal to 99"),
        (["predict", "--patience", "nan"], "1", 2, "error: argument --patience: this is not a number"),
        (["predict", "--patience", "-1"], "1", 2, "error: argument --patience: this is below 0"),
        (["predict", "--state", "."], "1", 2, "error: .: Is a directory"),
        (["predict", "--state", os.devnull], "1", 2, "there is no state in this file"),
        (["predict", "--state", sys.executable], "1", 2, "there is no state in this file"),
        (["predict", "--save-state", "no/such/folder"], "1", 2, "this file cannot be written"),
        (["predict", "--save-state", "."], "1", 2, "this file cannot be written"),
        (["predict", "one", "two"], "1", 2, "error: there are too many arguments"),
        (["foresee"], "1", 2, "error: argument COMMAND: invalid choice: 'foresee'"),
        ([], "1", 2, "error: the following arguments are required: COMMAND"),
    ],
)
def test_what_goes_wrong_is_one_clear_line(
    server: Server, arguments: list[str], text: str, status: int, said: str
) -> None:
    ended, printed, errors = ask(server, *arguments, text=text)
    assert (ended, printed) == (status, "")
    assert errors.startswith("sine: error: ")
    assert said in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "--url", "http://alice:s3cret@127.0.0.1:9"],
        ["predict", "--url", "alice:s3cret/x@127.0.0.1:9"],
        ["predict", "--url=http://host:s3cret"],
        ["predict", "http://alice:s3cret@127.0.0.1:9"],
        ["http://alice:s3cret@127.0.0.1:9"],
        ["predict", "--api-key", "x", "--key=s3cret"],
        ["model", "--api-key", "s3cret"],
    ],
)
def test_nothing_that_may_be_secret_is_repeated(server: Server, arguments: list[str]) -> None:
    status, printed, errors = ask(server, *arguments)
    assert (status, printed, errors.count("\n")) == (2, "", 1)
    assert "s3cret" not in errors


def test_the_address_in_the_environment_is_not_shown_either(server: Server) -> None:
    url = "http://alice:s3cret@127.0.0.1:9"
    status, printed, errors = ask(server, "predict", SINE_URL=url)
    assert (status, printed) == (2, "")
    assert errors.startswith("sine: error: SINE_URL contains a user name or a password")
    assert "s3cret" not in errors + ask(server, "predict", "--help", SINE_URL=url)[1]


def test_a_key_is_stripped_and_a_wrong_one_is_not_shown(server: Server) -> None:
    right = ask(server, "predict")
    assert right[0] == 0
    assert ask(server, "predict", SINE_API_KEY="s3cret\n") == right
    status, printed, errors = ask(server, "predict", SINE_API_KEY="s3cret\nand more")
    assert (status, printed, errors.count("\n")) == (2, "", 1)
    assert "SINE_API_KEY is not a key" in errors
    assert "s3cret" not in errors


def test_the_address_follows_the_variables_of_the_server(server: Server) -> None:
    right = ask(server, "predict")
    host, port = server.address
    assert ask(server, "predict", SINE_URL="", SINE_PORT=str(port)) == right
    assert ask(server, "predict", SINE_URL=" ", SINE_PORT=str(port), SINE_HOST="0.0.0.0") == right  # noqa: S104
    assert ask(server, "predict", SINE_URL=f"{host}:{port}", SINE_PORT="9") == right
    nobody = ask(server, "predict", "--patience", 0, SINE_URL="", SINE_HOST="127.0.0.1", SINE_PORT="9")
    assert nobody[:2] == (1, "")
    assert "http://127.0.0.1:9: no answer: " in nobody[2]
    for port_that_is_none in ("0", "port", "99999"):
        status, _, errors = ask(server, "predict", SINE_URL="", SINE_PORT=port_that_is_none)
        assert status == 2
        assert "error: SINE_PORT " in errors


@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "socks5://127.0.0.1:1"},
        {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "127.0.0.1"},
        {"HTTP_PROXY": "no://proxy"},
        {"NO_PROXY": "[::1]"},
        {"SSL_CERT_FILE": "/no/such/file"},
        {"SSL_CERT_DIR": "/no/such/folder", "SSL_CERT_FILE": ""},
    ],
)
def test_variables_that_do_not_concern_the_service_do_not_stop_it(server: Server, variables: dict[str, str]) -> None:
    status, printed, errors = ask(server, "predict", **variables)
    assert (status, errors) == (0, "")
    assert float(printed)


@pytest.mark.parametrize(
    ("url", "variable", "value"),
    [
        ("http://192.0.2.1", "HTTP_PROXY", "no://alice:s3cret@proxy"),
        ("http://192.0.2.1", "ALL_PROXY", "http://alice:s3cret@proxy:port"),
        ("https://127.0.0.1:9", "SSL_CERT_FILE", "/no/such/file"),
        ("https://127.0.0.1:9", "SSL_CERT_FILE", os.devnull),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(server: Server, url: str, variable: str, value: str) -> None:
    status, printed, errors = ask(server, "predict", "--url", url, **{variable: value})
    assert (status, printed, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"sine: error: {variable} ")
    assert "s3cret" not in errors


def test_byte_order_marks_are_taken(server: Server, tmp_path: Path) -> None:
    right = ask(server, "predict", text="1 2 3")
    assert right[0] == 0
    assert ask(server, "predict", text="\ufeff1 2 3\n") == right
    (tmp_path / "values.txt").write_text("1 2 3", encoding="utf-8-sig")
    assert ask(server, "predict", tmp_path / "values.txt") == right
    (tmp_path / "values.txt").write_text("1 2 3", encoding="utf-16")
    status, _, errors = ask(server, "predict", tmp_path / "values.txt")
    assert (status, errors.count("\n")) == (2, 1)
    assert "this is not text in UTF-8" in errors


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("predict <&-", 2, "error: input is closed: give a file, or the values through a pipe"),
        ("predict >&-", 2, "error: output is closed"),
        ("generate > /dev/full", 2, "error: output: No space left on device"),
        ("generate --json > /dev/full", 2, "error: output: No space left on device"),
    ],
)
def test_closed_and_full_files_are_one_clear_line(server: Server, command: str, status: int, said: str) -> None:
    ran = in_shell(f"echo 1 2 3 | {{ {PROGRAM} {command}; }}", server)
    assert (ran.returncode, ran.stdout) == (status, "")
    assert ran.stderr == f"sine: {said}\n"


@pytest.mark.parametrize("command", ["--help", "generate", "generate --json", "generate --plot", "models"])
def test_a_reader_that_has_left_is_no_error(server: Server, command: str) -> None:
    ran = in_shell(f"echo 1 2 3 | {PROGRAM} {command} | true; exit ${{PIPESTATUS[1]}}", server)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_errors_do_not_go_into_the_output(server: Server) -> None:
    ran = in_shell(f"echo three | {PROGRAM} predict 2>&-", server)
    assert (ran.returncode, ran.stdout) == (2, "")


PROGRAM = f"{sys.executable} -m sine_client"


def in_shell(command: str, server: Server) -> subprocess.CompletedProcess[str]:
    """Run a command of bash that asks `server`."""
    environment = os.environ | {"SINE_URL": server.url}
    return subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_a_table_of_series_becomes_a_table_of_forecasts(server: Server, tmp_path: Path) -> None:
    table(["a", "b"]).write_csv(tmp_path / "in.csv")
    options = ("--horizon", 3, "--level", 80, 95, "--model", "any")
    status, output, errors = ask(server, "forecast", tmp_path / "in.csv", *options, text="not read")
    assert (status, errors) == (0, "")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", *options) == 0
    found = pl.read_csv(output.encode())
    assert found.equals(pl.read_csv(tmp_path / "out.csv"))
    piped = ask(server, "forecast", *options, text=(tmp_path / "in.csv").read_text())
    assert piped == (0, output, "")
    status, plot, errors = ask(server, "forecast", tmp_path / "in.csv", *options, "--plot")
    assert (status, errors) == (0, "")
    assert plot.startswith("a\n")
    assert "forecast" in plot


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("2018-{:02}", "2018-{:02}-01"),
        ("2018/{}/1", "2018-{:02}-01"),
        ("2018-{}-01 6:00", "2018-{:02}-01T06:00:00"),
        ("2018-{:02}-01 06:00:00,500", "2018-{:02}-01T06:00:00.500000"),
        ("2018-{:02}-01T06:00:00.000000000", "2018-{:02}-01T06:00:00"),
        ("2018-{:02}-01+0530", "2018-{:02}-01T00:00:00+05:30"),
        ("2018-{:02}-01 06:00 UTC", "2018-{:02}-01T06:00:00+00:00"),
    ],
)
def test_dates_are_read_as_in_files_of_bulk_forecasts(first: str, expected: str) -> None:
    lines = ["ds,y\n", *(f'"{first.format(month)}",{month % 3}\n' for month in range(1, 9))]
    (series,) = read_csv(lines, "input", None, None, None, "y")
    assert times_after(series.start, series.freq, 8, 3) == [expected.format(month) for month in (9, 10, 11)]


def test_a_file_of_months_has_the_forecasts_of_bulk(server: Server, tmp_path: Path) -> None:
    months = [f"{2018 + month // 12}-{month % 12 + 1:02}" for month in range(60)]
    pl.DataFrame({"unique_id": "in", "ds": months, "y": np.resize(WAVE, 60)}).write_csv(tmp_path / "in.csv")
    assert bulk(tmp_path / "in.csv", tmp_path / "out.csv", "--horizon", 3) == 0
    status, output, errors = ask(server, "forecast", tmp_path / "in.csv", "--horizon", 3, "--model", "any")
    assert (status, errors) == (0, "")
    assert pl.read_csv(output.encode()).equals(pl.read_csv(tmp_path / "out.csv"))


@pytest.mark.parametrize(("freq", "written"), [(1, ["4", "5"]), ("1.0", ["4.0", "5.0"]), (None, ["4", "5"])])
def test_whole_times_stay_whole(server: Server, freq: object, written: list[str]) -> None:
    options = () if freq is None else ("--freq", freq)
    status, output, _ = ask(
        server, "forecast", "--horizon", 2, *options, text="ds,mood,y\n1,low,2\n2,low,3\n3,high,2\n"
    )
    assert status == 0
    assert [row.split(",")[1] for row in output.splitlines()[1:]] == written


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("ds,x\n1,2\n", (), "input, row 1: there is no column 'y', only 'ds', 'x'; --column names another one"),
        ("ds,y\n1,two\n", (), "input, row 2: y: this is not a number such as 0.5 or 1e-3"),
        ("ds,y\n1,2\n2\n", (), "input, row 3: y: this is not a number such as 0.5 or 1e-3"),
        ("ds,y\n", (), "input: there are no rows in it"),
        ("ds,y\n1,2\n2,3\n4,5\n", (), "input: series 'y': 4 comes after 2, and the usual step is 1; times have to be"),
        ("ds,y\nsoon,2\n", (), "input: the time 'soon' cannot be read: a date like 2026-01-31"),
        ("ds,y\n2026-01-01,2\n", (), "input: series 'y': a single time has no frequency; freq has to be given"),
        ("x,y\n1,2\n", ("--time", "date"), "input, row 1: there is no column 'date' for --time, only 'x', 'y'"),
        ("ds,y\n1,2\n", ("--id", "store"), "input, row 1: there is no column 'store' for --id, only 'ds', 'y'"),
        ("date,y\n1,2\n", (), "input: the column 'date' looks like times and is not used: add --time date, or remove"),
        ("when,y\n2026-01,2\n2026-02,3\n", (), "input: the column 'when' looks like times and is not used"),
        ("n,y\n3,2\n2,1\n1,5\n", (), "input: the column 'n' looks like times and is not used: add --time n, or remove"),
        (
            "date,store,y\n1,a,2\n2,a,2\n1,b,2\n2,b,2\n",
            ("--time", "date"),
            "input: the column 'store' looks like names of series and is not used: add --id store, or remove",
        ),
        ("who,y\na,2\na,2\nb,2\nb,2\n", (), "input: the column 'who' looks like names of series and is not used"),
        ("ds,y,y\n1,2,3\n", (), "input, row 1: two columns are called 'y'"),
        ("ds,y\n1,2\n2,3\n10,5\n", ("--freq", 1), "input: series 'y': with the frequency 1, 3 is expected, not 10"),
        ("unique_id,y\n" + "".join(f"{n},1\n" for n in range(5)), ("--plot",), "--plot draws at most 4 series"),
    ],
)
def test_a_table_that_cannot_be_used_is_explained(
    server: Server, text: str, options: tuple[str, ...], said: str
) -> None:
    status, output, errors = ask(server, "forecast", "--horizon", 3, *options, text=text)
    assert (status, output) == (2, "")
    assert errors.startswith(f"sine: error: {said}")
    assert errors.count("\n") == 1
