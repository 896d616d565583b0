"""Tests that the shipped model knows what it can forecast: its fit, warnings and intervals on unseen sequences."""

import math

import numpy as np
import pytest

from model import DEFAULT_ARTIFACT
from model.artifact import Artifact, read_artifact
from model.fit import Expectation, fit_of, fits
from model.intervals import Intervals
from model.runtime.base import Runtime, State
from model.runtime.select import open_runtime
from training.data import Floats, Waves
from training.evaluate import Evaluate, source_of
from training.families import families

NOISE_DB = [math.inf, 40.0, 30.0, 20.0, 10.0]
LEVELS = (50, 80, 95)


class Shipped:
    """The shipped model, as the service forecasts with it."""

    def __init__(self, artifact: Artifact) -> None:
        assert artifact.intervals is not None
        assert artifact.metadata.fit is not None
        source = source_of(artifact, Evaluate())
        assert isinstance(source, Waves)
        self.waves: Waves = source
        self.intervals: Intervals = artifact.intervals
        self.expectations: tuple[Expectation, ...] = artifact.metadata.fit.expectations
        self.runtime: Runtime = open_runtime(artifact, "cpu").runtime

    def forecasts(self, x_BT: Floats, steps: int) -> tuple[Floats, list[State]]:
        return self.runtime.rollout(self.runtime.encode(x_BT.tolist()), steps)

    def coverage(self, x_BT: Floats, y_BS: Floats) -> Floats:
        """Return the percentage of intervals that hold the truth, by level and step."""
        values_BS, states = self.forecasts(x_BT, y_BS.shape[1])
        inside = np.zeros((len(LEVELS), y_BS.shape[1]))
        for values_S, truth_S, state in zip(values_BS, y_BS, states, strict=True):
            fit = fit_of(self.expectations, state)
            ends = self.intervals.around(values_S, fit, state, x_BT.shape[1], LEVELS)
            inside += [(ends[f"lo-{level}"] <= truth_S) & (truth_S <= ends[f"hi-{level}"]) for level in LEVELS]
        return 100 * inside / len(x_BT)


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return Shipped(read_artifact(DEFAULT_ARTIFACT))


@pytest.mark.parametrize(("context", "points"), [(16, 25), (32, 9), (64, 2.5), (128, 3), (100, 15), (300, 15)])
@pytest.mark.parametrize("snr_db", NOISE_DB)
def test_intervals_hold_as_often_as_they_say_at_every_level_of_noise(
    shipped: Shipped, snr_db: float, context: int, points: float
) -> None:
    """The test draws new waves, which neither training nor calibration has seen. The noise goes on.

    Fewer than 64 values may be less than a period. They do not tell noise from what is left of the wave.
    """
    dataset = shipped.waves.held_out(context, 256, 3000, (99, context))
    random = np.random.default_rng((99, context))
    deviation_B1 = dataset.unit_B[:, None] * math.sqrt(0.5) * 10 ** (-snr_db / 20)
    x_BT, y_BS = (part.numpy() for part in dataset.all())
    x_BT = x_BT + deviation_B1 * random.standard_normal(x_BT.shape)
    y_BS = y_BS + deviation_B1 * random.standard_normal(y_BS.shape)
    held_VS = shipped.coverage(x_BT, y_BS)
    np.testing.assert_allclose(held_VS.mean(axis=1), LEVELS, atol=points)


@pytest.mark.parametrize("family", ["two sines", "sine with a trend", "random walk", "airline passengers"])
def test_other_families_have_wide_intervals_and_most_of_them_a_warning(shipped: Shipped, family: str) -> None:
    x_BT, y_BS = (part.numpy() for part in families(64, 24)[family])
    assert shipped.coverage(x_BT, y_BS)[-1].min() >= 50
    _, states = shipped.forecasts(x_BT, 1)
    warned = np.mean([not fits(shipped.expectations, state) for state in states])
    assert warned > 0.5


@pytest.mark.parametrize("snr_db", NOISE_DB)
def test_sines_have_no_warning_clean_or_noisy(shipped: Shipped, snr_db: float) -> None:
    dataset = shipped.waves.held_out(64, 1, 3000, 98)
    x_BT = dataset.all()[0].numpy()
    deviation_B1 = dataset.unit_B[:, None] * math.sqrt(0.5) * 10 ** (-snr_db / 20)
    x_BT = x_BT + deviation_B1 * np.random.default_rng(98).standard_normal(x_BT.shape)
    _, states = shipped.forecasts(x_BT, 1)
    assert np.mean([not fits(shipped.expectations, state) for state in states]) < 0.005


@pytest.mark.parametrize("level", [0.0, 20.0, -500.0, 1e6])
def test_a_sine_around_any_level_is_continued_within_its_narrow_interval(shipped: Shipped, level: float) -> None:
    wave_T = level + 5 * np.sin(0.3 + math.tau * np.arange(84) / 20)
    values_BS, (state,) = shipped.forecasts(wave_T[None, :64], 20)
    np.testing.assert_allclose(values_BS[0], wave_T[64:], rtol=0, atol=0.02)
    assert fits(shipped.expectations, state)
    ends = shipped.intervals.around(values_BS[0], fit_of(shipped.expectations, state), state, 64, [99])
    assert np.all(np.abs(ends["hi-99"] - values_BS[0]) < 0.1)
