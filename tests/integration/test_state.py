"""State tokens: going on from one is going on from the sequence, bit for bit, on any server with the same model."""

import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.artifacts import make_small_artifact, some_intervals
from tests.server import Server, serve

MAX_SEQUENCE = 3000


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two servers of one model, `hot` and `plain`, and one of another."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("hot", "plain", "other")}
    model = make_small_artifact(folders["hot"], cell="gru", intervals=some_intervals())
    other = make_small_artifact(folders["other"], cell="lstm")
    limits = {"workers": 1, "max_sequence": MAX_SEQUENCE}
    with (
        serve(folders["hot"], model=model, **limits) as hot,
        serve(folders["plain"], model=model, hot_path=False, **limits) as plain,
        serve(folders["other"], model=other, **limits) as another,
    ):
        yield {"hot": hot.url, "plain": plain.url, "other": another.url}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


def post(client: httpx.Client, url: str, path: str, **fields: object) -> dict[str, object]:
    response = client.post(url + path, json=fields)
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


shared = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(data=st.data(), size=st.floats(1e-3, 1e6))
@shared
def test_b_from_the_state_of_a_is_a_and_b_together(
    urls: dict[str, str], client: httpx.Client, data: st.DataObject, size: float
) -> None:
    """Whenever b stays within a's range: then the scale of a is that of both."""
    a = data.draw(st.lists(st.floats(-size, size), min_size=1, max_size=40))
    within = max(map(abs, a))
    b = data.draw(st.lists(st.floats(-within, within), min_size=1, max_size=40))
    first = post(client, urls["hot"], "/predict", sequence=a, return_state=True)
    assert first["prediction"] == post(client, urls["hot"], "/predict", sequence=a)["prediction"]
    second = post(client, urls["plain"], "/predict", sequence=b, state=first["state"], return_state=True)
    whole = post(client, urls["hot"], "/predict", sequence=a + b, return_state=True)
    assert second == whole, "the prediction and the token"


@given(
    sequence=st.lists(st.floats(-100, 100), min_size=1, max_size=30),
    steps=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
@shared
def test_a_rollout_goes_on_from_its_state(
    urls: dict[str, str], client: httpx.Client, sequence: list[float], steps: tuple[int, int]
) -> None:
    first = post(client, urls["hot"], "/generate", sequence=sequence, steps=steps[0], return_state=True)
    second = post(client, urls["plain"], "/generate", sequence=[], state=first["state"], steps=steps[1])
    whole = post(client, urls["hot"], "/generate", sequence=sequence, steps=sum(steps))
    assert [first["values"], second["values"]] == [whole["values"][: steps[0]], whole["values"][steps[0] :]]  # type: ignore[index]


def test_a_long_sequence_and_a_long_rollout_leave_the_same_state(urls: dict[str, str], client: httpx.Client) -> None:
    """Those that are queued and computed in chunks, not at once."""
    sequence = [((7 * t) % 101 - 50) / 50 for t in range(MAX_SEQUENCE)]
    whole = post(client, urls["hot"], "/generate", sequence=sequence, steps=10_000, return_state=True)
    half = post(client, urls["hot"], "/predict", sequence=sequence[:1500], return_state=True)
    rest = sequence[1500:]
    then = post(client, urls["plain"], "/generate", sequence=rest, state=half["state"], steps=10_000, return_state=True)
    assert then == whole


def test_intervals_count_the_values_behind_a_state(urls: dict[str, str], client: httpx.Client) -> None:
    first = post(client, urls["hot"], "/predict", sequence=[1.0, 0.5, -1.0], return_state=True)
    whole = post(client, urls["hot"], "/generate", sequence=[1.0, 0.5, -1.0, 0.2], steps=5, level=[80])
    then = post(client, urls["hot"], "/generate", sequence=[0.2], state=first["state"], steps=5, level=[80])
    assert then == whole
    rolled = post(client, urls["hot"], "/generate", sequence=[1.0, 0.5, -1.0], steps=5, return_state=True)
    refused = client.post(
        urls["hot"] + "/generate", json={"sequence": [], "state": rolled["state"], "steps": 5, "level": [80]}
    )
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/level"
    assert "observed" in refused.json()["detail"]


@pytest.mark.parametrize("server", ["hot", "plain"])
def test_what_cannot_be_gone_on_from_is_refused_by_name(
    urls: dict[str, str], client: httpx.Client, server: str
) -> None:
    token = str(post(client, urls[server], "/predict", sequence=[1, 2], return_state=True)["state"])
    foreign = post(client, urls["other"], "/predict", sequence=[1, 2], return_state=True)["state"]
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
            response = client.post(urls[server] + path, json=body)
            assert response.status_code == 422
            assert [error["pointer"] for error in response.json()["errors"]] == ["/state"]
            assert reason in response.json()["detail"]
            assert state in ("", 5) or json.dumps(state) not in response.text
    without = client.post(urls[server] + "/generate", json={"sequence": [], "steps": 1})
    assert without.status_code == 422
    assert without.json()["errors"][0]["pointer"] == "/sequence"
    assert client.post(urls[server] + "/predict", json={"sequence": [], "state": token}).status_code == 422


def test_the_shipped_model_goes_on_after_a_restart(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    sequence = [float(t % 20 - 10) for t in range(80)]
    state = httpx.post(f"{server.url}/predict", json={"sequence": sequence[:64], "return_state": True}).json()["state"]
    whole = httpx.post(f"{server.url}/predict", json={"sequence": sequence}).json()
    with serve(tmp_path_factory.mktemp("restarted"), workers=1) as restarted:
        then = httpx.post(f"{restarted.url}/predict", json={"sequence": sequence[64:], "state": state}).json()
    assert then == whole
