"""Tests with tens of thousands of inputs from fuzzing tools: no 5xx, and only answers that the document declares."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.state_tokens import write_token
from model.runtime.base import State
from tests.artifacts import make_small_artifact, some_intervals
from tests.metrics import total
from tests.reliability.clients import assert_no_errors
from tests.reliability.parsers import PARSERS
from tests.reliability.results import Result, Results
from tests.server import ROOT, Server, serve

HIDDEN = 64  # large enough to queue rollouts within the limits


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzzed")
    model = make_small_artifact(folder, hidden=HIDDEN, intervals=some_intervals())
    limits = {"max_sequence": 64, "max_steps": 5000, "max_batch": 8, "receive_timeout_s": 1.0}
    with serve(folder, model=model, workers=2, **limits) as server:
        yield server


@pytest.fixture(autouse=True)
def _unharmed(server: Server) -> Iterator[None]:
    """Check that there was no 500, counted or logged, that no worker died, and that no work is left."""
    yield
    lines = httpx.get(f"{server.url}/metrics").text
    assert total(lines, "sine_requests_total", status="500") == 0
    assert total(lines, "sine_workers_started_total") == total(lines, "sine_workers_ready") == 2
    assert total(lines, "sine_pending_steps") == 0
    assert_no_errors(server)


# Schemathesis. Two processes run side by side: one sends single requests, the other chains along the links.


def test_all_that_openapi_allows_or_forbids_is_answered_as_declared(
    server: Server, tmp_path: Path, full: bool, results: Results
) -> None:
    singles = _schemathesis(server, tmp_path / "singles.json", "examples,coverage,fuzzing", 1_200 if full else 8)
    chains = _schemathesis(server, tmp_path / "chains.json", "stateful", 2_900 if full else 8, asking_for_states=True)
    reports = [_report(*run) for run in (singles, chains)]
    cases = sum(report["test_cases"]["generated"] for report in reports)
    assert cases >= (20_000 if full else 500)
    assert reports[0]["operations"]["tested"] == reports[0]["operations"]["total"] > 20
    assert reports[1]["operations"]["tested"] >= 3, "the chains reach each operation that a link leads to"
    results.add(Result("requests made from the OpenAPI document", cases, cases, cases, wrong=0, lost=0))


def _schemathesis(
    server: Server, report: Path, phases: str, examples: int, asking_for_states: bool = False
) -> tuple[subprocess.Popen[str], Path]:
    hooks = {"SCHEMATHESIS_HOOKS": "tests.reliability.asking_for_states"} if asking_for_states else {}
    options = [f"--phases={phases}", f"--max-examples={examples}", "--report=json", f"--report-json-path={report}"]
    configuration = f"--config-file={Path(__file__).with_name('schemathesis.toml')}"
    process = subprocess.Popen(
        [sys.executable, "-m", "schemathesis.cli", configuration, "run", f"{server.url}/openapi.json", *options],
        cwd=ROOT,
        env=os.environ | hooks,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, report


def _report(process: subprocess.Popen[str], report: Path) -> dict[str, Any]:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    read: dict[str, Any] = json.loads(report.read_text())
    assert read["complete"]
    assert read["failures"] == read["errors"] == []
    return read


# Hypothesis

changes = st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 4), st.binary(max_size=4)), max_size=3)


def _changed(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Return the content with other bytes at some places, more of them or fewer."""
    for place, removed, new in changes:
        place %= len(content) + 1
        content = content[:place] + new + content[place + removed :]
    return content


bytes_of = {
    name: st.builds(_changed, st.sampled_from(valid()), changes) | st.binary(max_size=300)
    for name, (_, valid) in PARSERS.items()
}


@pytest.mark.parametrize("name", PARSERS)
def test_parsers_refuse_what_is_wrong_and_nothing_else_happens(name: str, full: bool, results: Results) -> None:
    holds, valid = PARSERS[name]
    outcomes: list[bool] = []

    @given(bytes_of[name])
    @settings(max_examples=5_000 if full else 300, deadline=None)
    def holds_of(data: bytes) -> None:
        outcomes.append(holds(data))

    assert holds(valid()[0])
    holds_of()
    assert {*outcomes} == {True, False}, "some inputs are valid and some are not"
    results.add(Result(f"bytes to the parser: {name}", len(outcomes), 0, 0, wrong=0, lost=0))


singles = st.floats(allow_nan=False, allow_infinity=False, width=32)
made_up = st.tuples(
    st.one_of(singles, st.sampled_from([0.0, 3.4028234663852886e38])).map(
        lambda number: np.full((1, HIDDEN), number, np.float32)
    )
    | st.lists(singles, min_size=HIDDEN, max_size=HIDDEN).map(lambda row: np.array([row], np.float32)),
    st.floats(min_value=0, allow_nan=False, allow_infinity=False) | st.sampled_from([5e-324, 3.4e38, 1.7e308]),
    st.sampled_from([0, 4, 2**32 - 1]),
    st.floats(-1e15, 1e15) | st.sampled_from([0.0, 1.1e15]),
)


def test_a_made_up_state_gets_finite_values_or_a_refusal(server: Server, full: bool, results: Results) -> None:
    statuses: list[int] = []
    with httpx.Client(base_url=server.url) as client:
        digest = client.get("/model").json()["digest"]

        @given(
            made_up,
            st.lists(st.floats(-1e15, 1e15), max_size=3),
            st.sampled_from([None, [80, 95]]),
            st.sampled_from(["/predict", "/generate"]),
        )
        @settings(max_examples=2_000 if full else 200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        def asked(
            state: tuple[Any, float, int, float], sequence: list[float], level: list[int] | None, path: str
        ) -> None:
            memory_LM, scale, observed, middle = state
            token = write_token(State(memory_LM, middle, scale, observed), None, digest)
            fields: dict[str, object] = {"sequence": sequence, "state": token, "return_state": True}
            fields |= ({} if level is None else {"level": level}) | ({} if path == "/predict" else {"steps": 9})
            answer = client.post(path, json=fields)
            statuses.append(answer.status_code)
            assert answer.status_code in (200, 422)
            if answer.status_code == 200:
                content = answer.json()
                numbers = [content["prediction"]] if path == "/predict" else list(content["values"])
                for ends in content.get("intervals", {}).values():
                    numbers += ends
                assert all(type(number) is float for number in numbers)

        asked()
    assert {*statuses} == {200, 422}
    results.add(Result("made-up states", len(statuses), len(statuses), len(statuses), wrong=0, lost=0))


def test_the_hot_path_and_fastapi_answer_alike_for_longer(full: bool, results: Results) -> None:
    if not full:
        pytest.skip("tests/integration/test_hotpath.py does it, with fewer inputs")
    options = ["-q", "-k", "alike", "--hypothesis-profile=long", "--hypothesis-show-statistics"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/integration/test_hotpath.py", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    inputs = sum(map(int, re.findall(r"(\d+) passing", run.stdout)))
    assert inputs > 3_000
    results.add(Result("the hot path against FastAPI", inputs, 2 * inputs, 2 * inputs, wrong=0, lost=0))


# Atheris


@pytest.mark.parametrize("name", PARSERS)
def test_parsers_hold_for_inputs_that_coverage_finds(name: str, full: bool, results: Results, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="it has wheels for Linux on x86-64 only")
    runs, seconds = (2_000_000, 10) if full else (20_000, 5)
    bounds = [f"-runs={runs}", f"-max_total_time={seconds}", "-max_len=1024", "-seed=1", "-print_final_stats=1"]
    run = subprocess.run(
        [sys.executable, "-m", "tests.reliability.fuzz_parsers", name, tmp_path, *bounds],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", run.stderr)
    assert executed is not None
    assert int(executed[1]) > 1_000
    results.add(Result(f"bytes led by coverage: {name}", int(executed[1]), 0, 0, wrong=0, lost=0))
