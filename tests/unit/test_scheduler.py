"""Tests of the scheduler: which jobs the next batch holds, which leave it, and that turns change no answer."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.scheduler import NEW_ONLY, Job, Scheduler, advance
from model.artifact import read_artifact
from model.runtime.base import Runtime
from model.runtime.select import Engine, open_runtime
from tests.artifacts import make_small_artifact

CHUNK = 8


@pytest.fixture(scope="module", params=["fused", "torchscript"])
def runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    engine: Engine = request.param
    return open_runtime(read_artifact(make_small_artifact(tmp_path_factory.mktemp("model"))), "cpu", engine).runtime


def job(length: int = 3, steps: int = 5) -> Job:
    return Job([0.1 * value for value in range(1, length + 1)], steps)


def alone(runtime: Runtime, job: Job) -> list[float]:
    values_BS, _ = runtime.rollout(runtime.encode([job.sequence]), job.steps)
    values: list[float] = values_BS[0].tolist()
    return values


def values_of(job: Job) -> list[float]:
    return [float(value) for chunk_S in job.chunks for value in chunk_S]


def run(runtime: Runtime, scheduler: Scheduler) -> list[Job]:
    """Work until the queue is empty, and return the finished jobs in their order."""
    finished = []
    while batch := scheduler.next_batch():
        advance(runtime, batch, CHUNK)
        finished += scheduler.put_back(batch)
    return finished


def test_an_idle_scheduler_has_nothing_to_do() -> None:
    assert Scheduler(4).next_batch() == []


def test_a_short_job_on_an_idle_scheduler_is_one_iteration(runtime: Runtime) -> None:
    scheduler, short = Scheduler(4), job()
    scheduler.add(short)
    batch = scheduler.next_batch()
    turn = advance(runtime, batch, CHUNK)
    assert (turn.encoded, turn.rolled_out) == (3, 5)
    assert scheduler.put_back(batch) == [short]
    assert scheduler.next_batch() == []
    np.testing.assert_allclose(values_of(short), alone(runtime, short), atol=1e-6)


def test_a_new_job_joins_the_next_iteration_and_leaves_before_a_long_job_ends(runtime: Runtime) -> None:
    scheduler, long, short = Scheduler(2), job(steps=1000), job(steps=1)
    scheduler.add(long)
    advance(runtime, batch := scheduler.next_batch(), CHUNK)
    scheduler.put_back(batch)
    scheduler.add(short)
    assert scheduler.next_batch() == [short, long]
    advance(runtime, [short, long], CHUNK)
    assert scheduler.put_back([short, long]) == [short]
    assert long.produced == 2 * CHUNK


def test_a_new_job_goes_before_those_that_have_had_a_turn(runtime: Runtime) -> None:
    scheduler = Scheduler(1)
    long = [job(steps=1000) for _ in range(3)]
    for each in long:
        scheduler.add(each)
        advance(runtime, batch := scheduler.next_batch(), CHUNK)
        scheduler.put_back(batch)
    short = job(steps=1)
    scheduler.add(short)
    assert scheduler.next_batch() == [short]


def test_new_jobs_without_end_do_not_stop_those_that_have_begun(runtime: Runtime) -> None:
    scheduler, long = Scheduler(1), job(steps=4 * CHUNK)
    scheduler.add(long)
    turns = 0
    while not long.finished:
        scheduler.add(job(steps=1))
        advance(runtime, batch := scheduler.next_batch(), CHUNK)
        scheduler.put_back(batch)
        turns += 1
    assert turns == 1 + 3 * (NEW_ONLY + 1)


def test_jobs_take_turns(runtime: Runtime) -> None:
    scheduler, jobs = Scheduler(1), [job(steps=3 * CHUNK) for _ in range(3)]
    for each in jobs:
        scheduler.add(each)
    for _ in range(len(jobs)):
        advance(runtime, batch := scheduler.next_batch(), CHUNK)
        scheduler.put_back(batch)
    assert [each.produced for each in jobs] == [CHUNK] * 3


def test_a_cancelled_job_gets_no_further_turn(runtime: Runtime) -> None:
    scheduler, gone, other = Scheduler(4), job(steps=1000), job(steps=20)
    for each in (gone, other):
        scheduler.add(each)
    batch = scheduler.next_batch()
    advance(runtime, batch, CHUNK)
    gone.cancelled = True  # cancelled while it is in the batch
    scheduler.put_back(batch)
    assert scheduler.next_batch() == [other]
    waiting = job()
    waiting.cancelled = True  # cancelled while it waits
    scheduler.add(waiting)
    scheduler.put_back([other])
    assert run(runtime, scheduler) == [other]
    assert gone.produced == CHUNK


def test_a_job_that_diverges_ends_with_its_last_finite_value() -> None:
    rollout = job(steps=4)
    rollout.take(np.array([1.0, 2.0]))
    rollout.take(np.array([np.inf, 3.0]))
    assert rollout.finished
    assert rollout.diverged
    assert values_of(rollout) == [1.0, 2.0]


@given(
    shapes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=12),
    max_batch=st.integers(1, 5),
    late=st.integers(0, 6),
)
@settings(max_examples=60, deadline=None)
def test_every_job_gets_the_answer_that_it_gets_alone(
    runtime: Runtime, shapes: list[tuple[int, int]], max_batch: int, late: int
) -> None:
    scheduler, jobs = Scheduler(max_batch), [job(*shape) for shape in shapes]
    first, rest = jobs[late:], jobs[:late]
    for each in first:
        scheduler.add(each)
    finished = []
    while batch := scheduler.next_batch():
        assert len(batch) <= max_batch
        assert len(set(map(id, batch))) == len(batch)
        advance(runtime, batch, CHUNK)
        finished += scheduler.put_back(batch)
        if rest:
            scheduler.add(rest.pop())
    for each in rest:
        scheduler.add(each)
    finished += run(runtime, scheduler)
    assert {id(each) for each in finished} == {id(each) for each in jobs}
    for each in jobs:
        assert (each.encoded, each.produced) == (len(each.sequence), each.steps)
        np.testing.assert_allclose(values_of(each), alone(runtime, each), atol=1e-5)
    if runtime.name == "fused":
        for each in jobs:
            assert values_of(each) == alone(runtime, each)


def test_the_scheduler_needs_no_torch() -> None:
    program = "import sys, app.engine.scheduler; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
