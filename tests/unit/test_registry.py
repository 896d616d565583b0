"""Tests of counters that processes share: sums, gauges of live processes, labels, and Prometheus's text format."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.shared_memory.numbering import TooManyNames
from app.telemetry.metrics import Metrics
from app.telemetry.registry import Registry

_OTHER = """
import sys
from pathlib import Path
from app.telemetry.registry import Registry
from app.shared_memory.numbering import TooManyNames
registry = Registry(Path(sys.argv[1]))
registry.counter("asked", "", kind=["a", "b"])["b",].add(2)
registry.gauge("waiting", "").set(5)
registry.histogram("took", "", [1, 2])[()].observe(1.5)
print("counted", flush=True)
sys.stdin.read()
"""

_MANY = """
import os, sys
from pathlib import Path
from app.telemetry.registry import Registry
for _ in range(1000):
    if (child := os.fork()) == 0:
        registry = Registry(Path(sys.argv[1]))
        registry.counter("asked", "", kind=["a", "b"])["a",].add()
        registry.gauge("waiting", "").set(5)
        os._exit(0)
    os.waitpid(child, 0)
"""


def registry_of(folder: Path | None) -> Registry:
    registry = Registry(folder)
    registry.counter("asked", "", kind=["a", "b"])["a",].add()
    registry.gauge("waiting", "").set(1)
    took = registry.histogram("took", "", [1, 2])[()]
    for seconds in (0.5, 1, 3):
        took.observe(seconds)
    return registry


def lines(registry: Registry) -> dict[str, float]:
    text = registry.expose().decode()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")}


def test_a_single_process_counts() -> None:
    assert lines(registry_of(None)) == {
        'asked_total{kind="a"}': 1,
        "waiting": 1,
        'took_bucket{le="1.0"}': 2,
        'took_bucket{le="2.0"}': 2,
        'took_bucket{le="+Inf"}': 3,
        "took_count": 3,
        "took_sum": 4.5,
    }


def test_sums_over_processes_keep_the_counts_of_a_dead_one(tmp_path: Path) -> None:
    registry = registry_of(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        both = lines(registry)
        other.kill()
    assert (both['asked_total{kind="a"}'], both['asked_total{kind="b"}']) == (1, 2)
    assert (both["took_count"], both["took_sum"], both["waiting"]) == (4, 6, 6)
    # The counts of the dead process stay, and its gauges go.
    assert lines(registry) == {**both, "waiting": 1}


def test_totals_are_sums_over_processes_too(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    asked = registry.counter("asked", "", kind=["a", "b"])
    registry.gauge("waiting", "")
    registry.histogram("took", "", [1, 2])
    asked["b",].add(0.5)
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        total = registry.totals()
        assert [total(asked["b",]), total(asked["a",])] == [2.5, 0]


def test_a_gauge_is_known_elsewhere_as_long_as_its_worker_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.shared_memory.values._AGAIN_S", 0)
    registry = Registry(tmp_path)
    registry.counter("asked", "", kind=["a", "b"])
    waiting = registry.gauge("waiting", "")
    waiting.set(1)
    (tmp_path / "7").touch()  # a worker that is just starting has an empty file
    assert registry.other_workers(waiting) == []
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert registry.other_workers(waiting) == [5]
    assert registry.other_workers(waiting) == []
    alone = Registry(None)
    assert alone.other_workers(alone.gauge("waiting", "")) == []


def test_a_thousand_deaths_lose_no_number_and_leave_no_file(tmp_path: Path) -> None:
    living = registry_of(tmp_path)
    subprocess.run([sys.executable, "-c", _MANY, str(tmp_path)], check=True)
    assert lines(living)['asked_total{kind="a"}'] == 1001
    assert lines(living)["waiting"] == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_worker_whose_folder_cannot_be_written_to_counts_for_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = registry_of(tmp_path)
    (tmp_path / "1").mkdir()
    alone = registry_of(tmp_path)
    assert "The metrics of this worker are not shared: Is a directory" in caplog.text
    (tmp_path / "1").rmdir()
    assert lines(shared)["took_count"] == 3
    assert lines(alone)["took_count"] == 6


def test_a_file_of_a_worker_that_is_starting_is_left_out(tmp_path: Path) -> None:
    registry = registry_of(tmp_path)
    (tmp_path / "1").touch()
    assert lines(registry)["took_count"] == 3


def test_more_numbers_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="more than the 8704"):
        Registry(None).counter("asked", "", kind=map(str, range(10_000)))


def test_an_info_is_shown_once_it_is_known() -> None:
    registry = Registry(None)
    model = registry.info("model", "")
    assert lines(registry) == {}
    model.labels = [{"name": "sine"}]
    assert lines(registry) == {'model_info{name="sine"}': 1}


def test_models_have_the_same_numbers_in_every_process_whichever_meets_them_first(tmp_path: Path) -> None:
    first, second = Registry(tmp_path), Registry(tmp_path)
    asked = [each.counter_by_model("asked", "", kind=["x", "y"]) for each in (first, second)]
    asked[0]("a")["x",].add(1)
    asked[1]("b\n")["x",].add(10)
    asked[1]("a")["y",].add(100)
    asked[0]("b\n")["x",].add(1000)
    # Both registries belong to this process and share its file, so the second adds to the counts of the first.
    assert lines(first) == lines(second)
    assert lines(first) == {
        'asked_total{kind="x",model="a"}': 1,
        'asked_total{kind="y",model="a"}': 100,
        'asked_total{kind="x",model="b\\n"}': 1010,
    }


def test_more_models_than_there_are_places_for_are_refused(tmp_path: Path) -> None:
    asked = Registry(tmp_path, models=3).counter_by_model("asked", "")
    for number in range(3):
        asked(str(number))
    asked("0")
    with pytest.raises(TooManyNames, match=r"had 3 names .* SINE_MAX_MODELS .* restart the service"):
        asked("another")


def test_there_are_places_for_as_many_models_as_the_setting_allows() -> None:
    metrics = Metrics(["/predict"], models=10_000)
    for number in range(300):
        metrics.inference_of(f"m{number}").answered(number, 1.0, 1.0, 1.0)
        metrics.misfits_of(f"m{number}").add(number)
    exposed = metrics.expose().decode()
    assert 'sine_inference_sequences_total{model="m299"} 299.0' in exposed
    assert 'sine_warnings_total{model="m299"} 1.0' in exposed
    assert 'sine_fit_ratio_bucket{le="100.0",model="m299"} 0.0' in exposed
    assert 'sine_fit_ratio_bucket{le="1000.0",model="m299"} 1.0' in exposed
    assert 'sine_fit_ratio_sum{model="m299"} 299.0' in exposed
    assert 'sine_inference_seconds_total{model="m0",part="success"} 3.0' in exposed
