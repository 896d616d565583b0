"""Tests of the examples on real series. They run if the extra `examples` is installed."""

import numpy as np
import pytest
import torch
import tyro

from tests.server import ROOT
from training.examples import EXAMPLES, autoreg, sunspots
from training.own.options import Own
from training.series import Series


def test_every_example_has_its_rows_in_the_documentation() -> None:
    page = (ROOT / "docs" / "series.md").read_text("utf-8").partition("<!-- /examples -->")[0]
    assert EXAMPLES
    for example in EXAMPLES:
        assert page.count(f"| {example.name}") == 2, "`python -m training.examples` writes the tables"


def test_the_examples_can_be_trained_with_the_command_that_they_print() -> None:
    for example in EXAMPLES:
        options = tyro.cli(Own, args=["--data", str(example.path), *example.options.split()])
        assert (options.horizon, options.season) == (example.horizon, example.season)
        assert example.context >= example.season


def test_autoreg_forecasts_what_statsmodels_does() -> None:
    ar_model = pytest.importorskip("statsmodels.tsa.ar_model", reason="not installed: make test-statistics")
    series = Series({"y": sunspots()}, horizon=11)
    (known_T,) = series.known_parts
    forecast_BS = autoreg(series, context=44, season=1)(torch.from_numpy(known_T[None, -44:]), 11)
    fits = [ar_model.AutoReg(known_T, lags=2**power, hold_back=44).fit() for power in range(6)]
    expected_S = min(fits, key=lambda fit: float(fit.bic)).forecast(11)
    np.testing.assert_allclose(forecast_BS[0], expected_S, rtol=1e-9)
