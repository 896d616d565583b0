"""The model that ships keeps its promise: it continues any clean sine of 10 to 50 samples a period from 64 samples."""

import math
from pathlib import Path

import numpy as np
import pytest

from model import DEFAULT_ARTIFACT
from model.artifact import read_artifact
from model.golden import tolerance
from model.runtime import Engine, Runtime, open_runtime


@pytest.fixture(scope="module")
def shipped() -> Runtime:
    return open_runtime(read_artifact(DEFAULT_ARTIFACT), "cpu").runtime


ENGINES: tuple[Engine, ...] = ("fused", "torchscript")
PERIODS = [10, 10.3, 11, 12, 13.7, 16, 19.3, 20, 24, 27.1, 32, 36.6, 40, 45.5, 50]
PHASES_B = 0.05 + math.tau * np.arange(48) / 48


@pytest.mark.parametrize("period", PERIODS)
def test_the_shipped_model_continues_a_wave_of_any_phase(shipped: Runtime, period: float) -> None:
    amplitude = 3.0 * period
    time_T = np.arange(64 + 100)
    wave_BT = amplitude * np.sin(PHASES_B[:, None] + math.tau * time_T / period)
    states = shipped.encode([sequence.tolist() for sequence in wave_BT[:, :64]])
    values_BS, _ = shipped.rollout(states, 100)
    error_BS = (values_BS - wave_BT[:, 64:]) / amplitude
    assert np.abs(error_BS[:, 0]).max() < 0.01, "next value"
    assert np.sqrt((error_BS**2).mean()) < 0.03, "100 steps"


def test_the_shipped_model_says_what_was_measured_and_nothing_about_where() -> None:
    metadata = read_artifact(DEFAULT_ARTIFACT).metadata
    assert metadata.errors["next_value_max"] < 0.01
    assert metadata.errors["rollout_100_rmse"] < 0.03
    assert str(Path.home()) not in metadata.model_dump_json()


def test_both_runtimes_give_the_same_forecast_of_the_shipped_model() -> None:
    artifact = read_artifact(DEFAULT_ARTIFACT)
    runtimes = [open_runtime(artifact, "cpu", engine).runtime for engine in ENGINES]
    for period in PERIODS:
        sequence = np.sin(math.tau * np.arange(64) / period).tolist()
        fused_S, scripted_S = (runtime.rollout(runtime.encode([sequence]), 1000)[0][0] for runtime in runtimes)
        assert abs(fused_S[0] - scripted_S[0]) <= 1e-5
        assert np.all(np.abs(fused_S - scripted_S) <= tolerance(1000))
