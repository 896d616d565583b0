"""Tests of admission next to waiting work. The tests set the price of a step, so no machine's speed counts."""

from contextlib import ExitStack

import pytest

from app.engine.admission import OWN_COST_FACTOR, Admission
from app.errors import Overloaded
from app.settings import Settings
from app.telemetry.metrics import Metrics
from model.artifact import read_artifact
from model.runtime.select import open_runtime
from tests.artifacts import make_small_artifact


@pytest.fixture
def admission(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Admission:
    """Return an admission with a step price of 1 ms. 100 steps may be queued ahead of a request."""
    monkeypatch.setattr("app.engine.admission._price", lambda runtime: 1e-3)
    folder = tmp_path_factory.mktemp("model")
    runtime = open_runtime(read_artifact(make_small_artifact(folder)), "cpu", "fused").runtime
    return Admission(runtime, Settings(max_pending_s=0.1, timeout_s=30), Metrics(()).pending)


@pytest.fixture
def batched(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Admission:
    """Return an admission like that of `admission`, for a runtime that advances 64 jobs together."""
    monkeypatch.setattr("app.engine.admission._price", lambda runtime: 1e-3)
    folder = tmp_path_factory.mktemp("model")
    runtime = open_runtime(read_artifact(make_small_artifact(folder)), "cpu", "torchscript").runtime
    return Admission(runtime, Settings(max_pending_s=0.1, timeout_s=30, max_batch=64), Metrics(()).pending)


def admitted(admission: Admission, cost: int, jobs: int = 1, timeout_s: float = 30) -> bool:
    try:
        admission.check(cost, timeout_s, jobs)
    except Overloaded:
        return False
    return True


def fill(admission: Admission, waiting: ExitStack, cost: int, jobs: int = 1) -> int:
    """Admit equal requests until one is refused, at most 150, and return their number."""
    count = 0
    while count < 150 and admitted(admission, cost, jobs):
        waiting.enter_context(admission.pending(cost, jobs))
        count += 1
    return count


def test_an_idle_service_admits_any_work(admission: Admission) -> None:
    assert admitted(admission, 10**9, timeout_s=1e-3)
    with admission.pending(5):
        pass
    assert admitted(admission, 10**9, timeout_s=1e-3)


@pytest.mark.parametrize(
    ("cost", "others"), [(10, 10 + OWN_COST_FACTOR), (1000, OWN_COST_FACTOR), (30, 3 + OWN_COST_FACTOR)]
)
def test_the_work_ahead_is_limited_by_seconds_and_by_the_requests_own_cost(
    admission: Admission, cost: int, others: int
) -> None:
    with ExitStack() as waiting:
        assert fill(admission, waiting, cost) == others + 1


def test_long_rollouts_do_not_shut_out_short_ones_or_the_reverse(admission: Admission) -> None:
    with ExitStack() as waiting:
        long = fill(admission, waiting, 3000)
        assert long == OWN_COST_FACTOR + 1
        assert fill(admission, waiting, 1) > 50
        assert not admitted(admission, 3000)
    with ExitStack() as waiting:
        assert fill(admission, waiting, 1) == 100 + OWN_COST_FACTOR + 1
        assert fill(admission, waiting, 3000) >= OWN_COST_FACTOR


def test_each_row_of_a_waiting_batch_counts(admission: Admission) -> None:
    with ExitStack() as waiting:
        assert fill(admission, waiting, 100, jobs=10) == OWN_COST_FACTOR + 1
        assert not admitted(admission, 100)


def test_jobs_that_advance_together_wait_together(batched: Admission) -> None:
    with ExitStack() as waiting:
        assert fill(batched, waiting, 50) == 150, "as many steps ahead as three jobs one by one would have"
    with ExitStack() as waiting:
        for _ in range(6):
            waiting.enter_context(batched.pending(30, jobs=64))
        assert not admitted(batched, 10, timeout_s=0.05), "two batches of it would wait longer than that"
        assert admitted(batched, 10)
        assert not admitted(batched, 30, timeout_s=0.2)


def test_an_answer_after_the_deadline_is_refused_with_the_time_of_all_work(admission: Admission) -> None:
    with admission.pending(3000):
        assert admitted(admission, 3000)
        with pytest.raises(Overloaded) as refused:
            admission.check(3000, asked_s=5)
    assert refused.value.headers["Retry-After"] == "3"


def test_a_busy_machine_admits_less(admission: Admission) -> None:
    admission.step_s = 3e-3
    with ExitStack() as waiting:
        assert fill(admission, waiting, 1000) == OWN_COST_FACTOR // 3 + 1
