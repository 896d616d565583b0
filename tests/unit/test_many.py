"""Tests that many sequences at once get the same numbers as each of them alone, to the last bit."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import DEFAULT_ARTIFACT
from model.artifact import Artifact, read_artifact
from model.fit import FitsOfMany, fit_of, fits_of
from model.runtime.base import Runtime
from model.runtime.many import Forecasts, forecast_many
from model.runtime.seasons import find_seasons
from model.runtime.select import Engine, open_runtime
from model.season import Floats, find_season
from sine_client.metadata import Normalisation
from tests.artifacts import make_small_artifact

STEPS, LEVELS = 30, [95, 80]
SHIPPED = ("sine", "any")


@cache
def shipped(name: str) -> tuple[Artifact, Runtime]:
    artifact = read_artifact(DEFAULT_ARTIFACT.with_stem(name))
    return artifact, open_runtime(artifact, "cpu").runtime


def sequence(seed: int, length: int) -> Floats:
    """Return a sequence of some kind, seasonal or not, in some unit."""
    rng = np.random.default_rng(seed)
    step_T, season = np.arange(length), rng.choice([2, 4, 7, 12, 24, 52])
    kinds = (
        np.sin(2 * np.pi * step_T / season),
        np.zeros(length),
        np.cumsum(rng.standard_normal(length)),
        np.resize(rng.standard_normal(season), length) + 0.05 * step_T + 0.1 * rng.standard_normal(length),
        rng.standard_normal(length),
    )
    chosen: Floats = kinds[rng.integers(len(kinds))] * 10.0 ** rng.uniform(-6, 6) + rng.choice([0.0, 1e4])
    return chosen


def joined(rows: list[Floats]) -> tuple[Floats, np.ndarray]:
    return np.concatenate(rows), np.concatenate([[0], np.cumsum(list(map(len, rows)))])


MANY = [sequence(seed, int(np.random.default_rng(seed).integers(1, 300))) for seed in range(60)]


@pytest.mark.parametrize("name", SHIPPED)
def test_many_forecasts_are_those_of_each_sequence_alone(name: str) -> None:
    artifact, runtime = shipped(name)
    season_B = find_seasons(*joined(MANY))
    many = forecast_many(runtime, *joined(MANY), STEPS, season_B)
    rows = np.array([len(row) >= 16 for row in MANY])
    expectations = artifact.metadata.fit.expectations if artifact.metadata.fit else ()
    observed_B = np.array(list(map(len, MANY)))
    fits = fits_of(expectations, observed_B, many.scale_B, many.residual_B, many.noise_B)
    assert artifact.intervals is not None
    long, fits_of_long = Forecasts(*(part[rows] for part in many)), FitsOfMany(*(part[rows] for part in fits))
    ends = artifact.intervals.around_many(long.values_BS, fits_of_long, long, observed_B[rows], LEVELS)
    number = 0
    for b, row in enumerate(MANY):
        values_S, state = runtime.forecast(row.tolist(), STEPS, int(season_B[b]))
        assert values_S.tobytes() == many.values_BS[b].tobytes()
        fit = fit_of(expectations, state)
        assert state.later == many.later_B[b]
        assert (fit is None or fit.fits) == fits.fits_B[b]
        if rows[b]:
            alone = artifact.intervals.around(values_S, fit, state, len(row), LEVELS)
            assert list(alone) == list(ends)
            assert all(alone[end].tobytes() == ends[end][number].tobytes() for end in alone)
            number += 1
    assert number > 40


@pytest.mark.parametrize(
    ("normalisation", "engine"), [("max_abs", "auto"), ("standard", "auto"), ("range", "torchscript")]
)
def test_other_units_and_other_runtimes_forecast_many_too(
    tmp_path: Path, normalisation: Normalisation, engine: Engine
) -> None:
    path = make_small_artifact(tmp_path, normalisation=normalisation, offset=1.0, scale=2.0)
    runtime = open_runtime(read_artifact(path), "cpu", engine).runtime
    rows = [np.sin(np.arange(length)) for length in (5, 40, 9)]
    many = forecast_many(runtime, *joined(rows), 6, np.ones(3, np.int64))
    for row, values_S in zip(rows, many.values_BS, strict=True):
        np.testing.assert_allclose(values_S, runtime.forecast(row.tolist(), 6)[0], atol=1e-5)


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 200)), min_size=1, max_size=20))
def test_the_seasons_of_many_sequences_are_those_of_each(chosen: list[tuple[int, int]]) -> None:
    rows = [sequence(seed, length) for seed, length in chosen]
    assert find_seasons(*joined(rows)).tolist() == [find_season(row) for row in rows]


@given(st.integers(0, 10_000), st.integers(6, 300), st.floats(-1e3, 1e3))
def test_outliers_and_steps_leave_the_seasons_of_many_those_of_each(seed: int, length: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    outlier_T, step_T = (size * (rng.random(length) < 0.02) for _ in range(2))
    rows = [sequence(seed, length) + outlier_T, sequence(seed, length) + step_T.cumsum(), step_T.cumsum()]
    assert find_seasons(*joined(rows)).tolist() == [find_season(row) for row in rows]


def test_a_long_sequence_has_its_long_season() -> None:
    row = sequence(3, 10) * 0 + 1
    long = np.resize(np.random.default_rng(0).standard_normal(336), 2400)
    assert find_seasons(*joined([row, long])).tolist() == [1, 336] == [find_season(row), find_season(long)]
