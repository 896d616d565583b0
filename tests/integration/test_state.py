"""Tests of state tokens: a forecast from a token equals one from the sequence, bit for bit, on any server."""

import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sine_client import Client, ServiceError
from tests.artifacts import make_small_artifact, some_intervals
from tests.server import Server, serve, serve_together

MAX_SEQUENCE = 3000


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run two servers of one model, `hot` and `plain`, and one of another."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("hot", "plain", "other")}
    model = make_small_artifact(folders["hot"], cell="gru", intervals=some_intervals())
    other = make_small_artifact(folders["other"], cell="lstm")
    limits = {"workers": 1, "max_sequence": MAX_SEQUENCE}
    with serve_together(
        serve(folders["hot"], model=model, **limits),
        serve(folders["plain"], model=model, hot_path=False, **limits),
        serve(folders["other"], model=other, **limits),
    ) as (hot, plain, another):
        yield {"hot": hot.url, "plain": plain.url, "other": another.url}


@pytest.fixture(scope="module")
def clients(urls: dict[str, str]) -> Iterator[dict[str, Client]]:
    with Client(urls["hot"]) as hot, Client(urls["plain"]) as plain, Client(urls["other"]) as other:
        yield {"hot": hot, "plain": plain, "other": other}


shared = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(data=st.data(), size=st.floats(1e-3, 1e14))
@shared
def test_b_from_the_state_of_a_equals_a_and_b_together(
    clients: dict[str, Client], data: st.DataObject, size: float
) -> None:
    """The equality holds for any b after at most 64 values, and after more of them if b stays within their range."""
    a = data.draw(st.lists(st.floats(-size, size), min_size=1, max_size=90))
    lowest, highest = (-10 * size, 10 * size) if len(a) <= 64 else (min(a), max(a))
    b = data.draw(st.lists(st.floats(lowest, highest), min_size=1, max_size=40))
    first = clients["hot"].predict(a, return_state=True)
    assert first.prediction == clients["hot"].predict(a).prediction
    second = clients["plain"].predict(b, state=first.state, return_state=True)
    whole = clients["hot"].predict(a + b, return_state=True)
    assert second == whole, "the prediction and the token are the same"


@given(
    sequence=st.lists(st.floats(-100, 100), min_size=1, max_size=30),
    steps=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
@shared
def test_a_rollout_goes_on_from_its_state(
    clients: dict[str, Client], sequence: list[float], steps: tuple[int, int]
) -> None:
    first = clients["hot"].generate(sequence, steps[0], return_state=True)
    second = clients["plain"].generate([], steps[1], state=first.state)
    assert first.values + second.values == clients["hot"].generate(sequence, sum(steps)).values


def test_a_long_sequence_and_a_long_rollout_leave_the_same_state(clients: dict[str, Client]) -> None:
    """Long sequences and rollouts are queued and computed in chunks, not at once."""
    sequence = [((7 * t) % 101 - 50) / 50 for t in range(MAX_SEQUENCE)]
    whole = clients["hot"].generate(sequence, 10_000, return_state=True)
    half = clients["hot"].predict(sequence[:1500], return_state=True)
    assert clients["plain"].generate(sequence[1500:], 10_000, state=half.state, return_state=True) == whole


@pytest.mark.parametrize("constants", [40, 65, 300])
def test_a_sequence_that_was_constant_has_the_units_of_the_values_that_follow(
    clients: dict[str, Client], constants: int
) -> None:
    client, after = clients["hot"], [5.0, 4.0, -1.0]
    first = client.predict([3.0] * constants, return_state=True)
    later = client.predict(after, state=first.state)
    assert later.prediction == pytest.approx(client.predict([3.0] * constants + after).prediction, rel=1e-3)
    assert later.prediction != 3


def test_intervals_count_the_values_behind_a_state(clients: dict[str, Client]) -> None:
    client = clients["hot"]
    first = client.predict([1.0, 0.5, -1.0], return_state=True)
    whole = client.generate([1.0, 0.5, -1.0, 0.2], 5, level=[80])
    assert client.generate([0.2], 5, state=first.state, level=[80]) == whole
    rolled = client.generate([1.0, 0.5, -1.0], 5, return_state=True)
    with pytest.raises(ServiceError, match=r"^/level: .*observed") as refused:
        client.generate([], 5, state=rolled.state, level=[80])
    assert refused.value.status == 422


@pytest.mark.parametrize("server", ["hot", "plain"])
def test_an_unusable_state_is_refused_by_name(urls: dict[str, str], clients: dict[str, Client], server: str) -> None:
    token = str(clients[server].predict([1, 2], return_state=True).state)
    foreign = clients["other"].predict([1, 2], return_state=True).state
    for state, reason in [
        (foreign, "another model"),
        (token[:-1], "damaged"),
        (token + "A" * 60_000, "damaged"),
        ("", "damaged"),
        ("\x00\ud7ff", "damaged"),
        (5, "string"),
    ]:
        for path in ("/predict", "/generate", "/generate/stream"):
            body = {"sequence": [1.0], "state": state} | ({} if path == "/predict" else {"steps": 1})
            response = httpx.post(urls[server] + path, json=body)
            assert response.status_code == 422
            assert [error["pointer"] for error in response.json()["errors"]] == ["/state"]
            assert reason in response.json()["detail"]
            assert state in ("", 5) or json.dumps(state) not in response.text
    without = httpx.post(urls[server] + "/generate", json={"sequence": [], "steps": 1})
    assert without.status_code == 422
    assert without.json()["errors"][0]["pointer"] == "/sequence"
    assert httpx.post(urls[server] + "/predict", json={"sequence": [], "state": token}).status_code == 422


def test_the_shipped_model_goes_on_in_a_process_that_started_later(server: Server, alone: Server) -> None:
    sequence = [float(t % 20 - 10) for t in range(80)]
    with Client(server.url) as client:
        state = client.predict(sequence[:64], return_state=True).state
        whole = client.predict(sequence)
    with Client(alone.url) as client:
        assert client.predict(sequence[64:], state=state) == whole
