"""Tests of the answers that the training's tables are made of, against those of the service's own parts."""

import numpy as np
import pytest
import torch

from model.artifact import read_artifact
from model.intervals import NoInterval
from model.metadata import Fitting
from model.runtime.select import open_runtime
from tests.artifacts import MakeArtifact, some_intervals
from training.answers import COUNT, STEPS, answers, by_family
from training.data import Waves

FITTING = Fitting(contexts=[8, 32], clean=[0.1, 0.01], noisiest=[0.4, 0.3], largest_ratio=[3.0, 2.0])


def test_an_answer_has_the_forecast_its_interval_and_the_fit(make_artifact: MakeArtifact) -> None:
    artifact = read_artifact(make_artifact(intervals=some_intervals(), fit=FITTING))
    runtime = open_runtime(artifact, "cpu").runtime
    x_BT = torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    every = list(answers(artifact, runtime, x_BT, 7, level=80))
    values_BS, _ = runtime.rollout(runtime.encode(x_BT.tolist()), 7)
    for answer, values_S in zip(every, values_BS, strict=True):
        np.testing.assert_array_equal(answer.values_S, values_S)
        np.testing.assert_allclose(answer.lower_S + answer.upper_S, 2 * values_S)
        assert np.all(np.diff(answer.upper_S - answer.lower_S) > 0)
    again = answers(artifact, runtime, 1000 * x_BT + 1e6, 7, level=80)
    for answer, other in zip(every, again, strict=True):
        np.testing.assert_allclose(other.upper_S, 1000 * answer.upper_S + 1e6, rtol=1e-4)
        assert other.fit.ratio == pytest.approx(answer.fit.ratio, rel=1e-3)


def test_a_model_without_what_an_answer_needs_says_so(make_artifact: MakeArtifact) -> None:
    x_BT = torch.randn(1, 12, dtype=torch.float64)
    for choices, given_BT, message in (
        ({"fit": FITTING}, x_BT, "no intervals"),
        ({"intervals": some_intervals()}, x_BT, "no fit"),
        ({"intervals": some_intervals(), "fit": FITTING}, x_BT[:, :3], "at least 4 values"),
        ({"intervals": some_intervals(), "fit": FITTING}, x_BT[:, :5], "5 values are too few"),
        ({"intervals": some_intervals(horizon=6), "fit": FITTING}, x_BT, "at most 6"),
    ):
        artifact = read_artifact(make_artifact(**choices))
        with pytest.raises(NoInterval, match=message):
            list(answers(artifact, open_runtime(artifact, "cpu").runtime, given_BT, 7))


def test_families_are_tabulated_beside_waves(make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.answers.COUNT", 40)
    assert COUNT > 40
    artifact = read_artifact(make_artifact(intervals=some_intervals((16,), STEPS), fit=FITTING))
    table = by_family(artifact, open_runtime(artifact, "cpu").runtime, Waves(), 64)
    assert list(table.rows)[:3] == ["clean sine", "sine at 20 dB", "two sines"]
    assert len(table.rows) == 6
    for ratio, *shares in table.rows.values():
        assert ratio > 0
        assert all(0 <= share <= 100 for share in shares)
