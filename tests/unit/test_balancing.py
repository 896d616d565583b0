"""Tests that a worker waits before it accepts more connections only if it has more than another worker."""

import pytest

from app.server.balancing import ConnectionBalancer


@pytest.mark.parametrize(
    ("connections", "other_workers", "gives_way"),
    [
        (1, [], False),
        (3, [1.0], False),
        (4, [1.0], True),
        (4, [1.0, 9.0], True),
        (4, [9.0, 9.0], False),
        (1000, [950.0], False),
        (1000, [900.0], True),
    ],
)
def test_a_worker_with_more_connections_than_another_waits(
    monkeypatch: pytest.MonkeyPatch, connections: int, other_workers: list[float], gives_way: bool
) -> None:
    told, slept = list[int](), list[float]()
    monkeypatch.setattr("time.sleep", slept.append)
    ConnectionBalancer(told.append, lambda: other_workers).opened(connections)
    assert told == [connections]
    assert bool(slept) == gives_way
