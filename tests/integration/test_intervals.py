"""Tests of prediction intervals over HTTP."""

from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.artifacts import make_small_artifact, some_intervals
from tests.server import Server, serve
from training.forecasts import Known

SEQUENCE = (100 * np.sin(np.arange(8))).tolist()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("intervals")
    with serve(folder, model=make_small_artifact(folder, intervals=some_intervals()), workers=1) as running:
        yield running


def test_a_level_adds_intervals_and_changes_nothing_else(server: Server) -> None:
    body = {"sequence": SEQUENCE, "steps": 10}
    plain = httpx.post(f"{server.url}/generate", json=body).json()
    assert "intervals" not in plain
    answer = httpx.post(f"{server.url}/generate", json=body | {"level": [80, 95]}).json()
    ends = answer.pop("intervals")
    assert answer == plain
    assert list(ends) == ["lo-95", "lo-80", "hi-80", "hi-95"]
    state = Known((max(SEQUENCE) - min(SEQUENCE)) / 2, 8, 0.0, 0.0, 0.0)
    wanted = some_intervals().around(np.array(plain["values"]), None, state, 8, [80, 95])
    for name, end_S in wanted.items():
        assert ends[name] == end_S.tolist()


def test_predict_has_one_interval_for_each_level(server: Server) -> None:
    answer = httpx.post(f"{server.url}/predict", json={"sequence": SEQUENCE, "level": [90]}).json()
    assert list(answer) == ["prediction", "intervals"]
    (low,), (high,) = answer["intervals"]["lo-90"], answer["intervals"]["hi-90"]
    assert low < answer["prediction"] < high


@pytest.mark.parametrize(
    ("change", "pointer", "allowed"),
    [
        ({"sequence": SEQUENCE[:3]}, "/sequence", "at least 4"),
        ({"steps": 11}, "/steps", "at most 10"),
        ({"level": [0]}, "/level/0", "greater than or equal to 1"),
        ({"level": [100]}, "/level/0", "less than or equal to 99"),
        ({"level": [97.5]}, "/level/0", "valid integer"),
        ({"level": []}, "/level", "at least 1"),
    ],
)
def test_unavailable_intervals_are_refused_with_the_allowed_ones(
    server: Server, change: dict[str, object], pointer: str, allowed: str
) -> None:
    body = {"sequence": SEQUENCE, "steps": 5, "level": [80]} | change
    answer = httpx.post(f"{server.url}/generate", json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert allowed in error["detail"]


def test_a_model_without_intervals_says_so(server: Server, explosive: Server) -> None:
    assert httpx.get(f"{explosive.url}/model").json()["intervals"] is None
    answer = httpx.post(f"{explosive.url}/predict", json={"sequence": SEQUENCE, "level": [80]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/level"
    assert httpx.get(f"{server.url}/model").json()["intervals"]["horizon"] == 10
