"""Tests of the shipped model for any series: its promises on series that nobody trained on."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model import DEFAULT_ARTIFACT
from model.artifact import Artifact, read_artifact
from model.runtime.base import Runtime
from model.runtime.select import Engine, open_runtime
from model.season import find_season
from training.prior.source import Prior
from training.relative import relative_errors

DIGEST = "205391ead82db2f6f059b1b72b6f640af0c323faa68a3b6c0cec6c7636d277d4"
PATH = DEFAULT_ARTIFACT.with_name("any.pt")
UNSEEN = 90  # the purpose of draws that neither training nor calibration makes


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return read_artifact(PATH)


@pytest.fixture(scope="module", params=["fused", "torchscript"])
def runtime(request: pytest.FixtureRequest, artifact: Artifact) -> Runtime:
    engine: Engine = request.param
    return open_runtime(artifact, "cpu", engine).runtime


def test_it_is_small_and_made_by_the_command_in_its_metadata(artifact: Artifact) -> None:
    assert artifact.digest == DIGEST, "services pin it; only a new training may change it"
    assert PATH.stat().st_size < 500_000
    assert artifact.metadata.training["command"] == "python -m training --preset any"
    assert artifact.metadata.architecture.inputs == "anchors"


@pytest.mark.parametrize("unit", [(1.0, 0.0), (1e-6, 5.0), (-3e6, 1e7)])
def test_it_continues_trends_and_seasons_in_any_unit(runtime: Runtime, unit: tuple[float, float]) -> None:
    """Growth is a share of the level, so it has no other unit; a trend and a season have any."""
    a, c = unit
    t_T = np.arange(84.0)
    profile_S = np.random.default_rng(0).standard_normal(12)
    x_T = a * (0.05 * t_T + np.tile(profile_S, 7)) + c
    values_S, _ = runtime.forecast(x_T[:72].tolist(), 12, find_season(x_T[:72]))
    assert np.abs(values_S - x_T[72:]).mean() < 0.1 * abs(a)


def test_a_constant_continues_itself(runtime: Runtime) -> None:
    for sequence in ([3.5], [3.5] * 40, [-1e12] * 7):
        for season in (1, 12):
            assert runtime.forecast(sequence, 5, season)[0].tolist() == [sequence[0]] * 5


def test_it_continues_clean_sines_of_any_level_to_a_thousandth(artifact: Artifact) -> None:
    runtime, random = open_runtime(artifact, "cpu", "fused").runtime, np.random.default_rng(1)
    period_B, phase_B = np.exp(random.uniform(math.log(8), math.log(48), 400)), random.uniform(0, math.tau, 400)
    wave_BT = np.sin(phase_B[:, None] + math.tau * np.arange(65) / period_B[:, None])
    wave_BT += random.uniform(-100, 100, (400, 1))
    errors = [runtime.forecast(x_T[:64].tolist(), 1, find_season(x_T[:64]))[0][0] - x_T[64] for x_T in wave_BT]
    assert math.sqrt(np.mean(np.square(errors))) < 1e-3


def test_it_is_better_than_seasonal_naive_on_unseen_series(artifact: Artifact) -> None:
    runtime = open_runtime(artifact, "cpu", "fused").runtime

    def predict(x_BT: Tensor, steps: int, season: int) -> Tensor:
        return torch.from_numpy(np.array([runtime.forecast(x_T, steps, season)[0] for x_T in x_BT.tolist()]))

    errors = relative_errors(predict, Prior().tasks(100, 24, 800, UNSEEN))
    assert errors["rollout_mae"] < 0.8
    assert errors["next_value_mae"] < 0.7
