"""Tests of quotas: the steps allowed in a window of time, counted by any number of processes."""

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.quotas import Quota, wait_s
from app.errors import RateExceeded, WorkTooLarge

WINDOW_S = 3600  # no test lasts as long


def _charge(folder: Path, times: int) -> int:
    rates, allowed = Quota(1000, WINDOW_S, folder), 0
    for _ in range(times):
        try:
            rates.charge("alice", 1)
        except RateExceeded:
            continue
        allowed += 1
    return allowed


def test_processes_share_one_limit(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        allowed = pool.starmap(_charge, [(tmp_path, 800), (tmp_path, 800)])
    # If two processes ask for the last step at once, both may have to wait, one of them needlessly.
    assert 998 <= sum(allowed) <= 1000
    assert _charge(tmp_path, 100) <= 2


def test_owners_have_a_limit_each() -> None:
    rates = Quota(10, WINDOW_S)
    rates.charge("alice", 10)
    rates.charge("bob", 9)
    with pytest.raises(RateExceeded):
        rates.charge("alice", 1)
    with pytest.raises(RateExceeded):
        rates.charge("bob", 2)
    rates.charge("bob", 1)  # the refused charge was not counted


def test_more_than_the_limit_is_never_allowed() -> None:
    with pytest.raises(WorkTooLarge, match="at most 10 steps"):
        Quota(10, WINDOW_S).charge("alice", 11)


@given(
    before=st.integers(0, 100),
    now=st.integers(0, 100),
    seconds=st.integers(1, 60),
    left=st.floats(0.01, 1),
    room=st.integers(0, 99),
)
@settings(deadline=None)
def test_there_is_room_after_the_wait_and_not_much_earlier(
    before: int, now: int, seconds: int, left: float, room: int
) -> None:
    def weighted(at_s: float) -> float:
        ends_s = left * seconds
        if at_s <= ends_s:
            return before * (ends_s - at_s) / seconds + now
        return now * max(0.0, 1 - (at_s - ends_s) / seconds)

    waited = wait_s((before, 0.0, now, left * seconds + seconds), seconds, room)
    assert 0 <= waited <= 2 * seconds
    assert weighted(waited) <= room + 1e-6
    if waited > 0:
        assert weighted(0.9 * waited) >= room - 1e-6
