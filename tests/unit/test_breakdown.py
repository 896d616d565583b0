"""Tests of the tables that show where a model is good, and of the pages that the tables are copied into."""

import math

import numpy as np
import pytest

from training.baselines import ar2
from training.breakdown import breakdown
from training.data import Waves
from training.series import Series
from training.tables import Table, filled, number


@pytest.fixture(autouse=True)
def _few_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.breakdown.COUNT", 100)


def test_waves_are_broken_down_by_horizon_period_context_and_noise_with_baselines_beside() -> None:
    tables = breakdown(ar2, Waves(), context=64)
    assert [table.first for table in tables] == ["step", "period", "values", "SNR", "SNR"]
    for table in tables:
        assert list(table.columns) == ["model", "last value", "seasonal naive", "one sine", "ar2"]
        assert table.rows
        for errors in table.rows.values():
            assert errors[0] == pytest.approx(errors[-1], rel=1e-6, abs=1e-12), (
                "the model under test is itself a baseline"
            )
            assert errors[1] > 0
    steps, periods, values, noise, _ = (table.rows for table in tables)
    assert list(steps)[:4] == ["1", "2", "5", "10"]
    assert list(steps)[-1] == "1000"
    assert len(periods) == 6
    assert {"8", "64", "256"} <= values.keys()
    assert all(errors[-1] < 1e-9 for rows in (steps, periods, values) for errors in rows.values()), (
        "the model continues a clean sine exactly"
    )
    assert noise["none"][-1] < 1e-9 < noise["40 dB"][-1] < noise["20 dB"][-1]
    assert noise["40 dB"][-2] < 0.3 * noise["40 dB"][-1], "the fit uses the fact that the series is one sine"


def test_a_single_period_has_no_table_by_period() -> None:
    tables = breakdown(ar2, Waves(period=(40.0, 40.0)), context=50)
    assert [table.first for table in tables] == ["step", "values", "SNR", "SNR"]


def test_series_are_broken_down_as_far_as_they_reach() -> None:
    series = Series({"y": np.sin(math.tau * np.arange(300) / 12)}, horizon=6)
    steps, values, *noise = breakdown(lambda x_BT, steps: x_BT[:, -steps:], series, context=20)
    assert list(steps.rows) == ["1", "2", "5", "6"]
    assert list(values.rows) == ["8", "16", "20"]
    season = list(values.columns).index("seasonal naive")
    assert math.isnan(values.rows["8"][season]), "eight values do not contain a season of twelve"
    assert values.rows["16"][season] < 1e-9
    assert len(noise) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (12.0, "12.0"), (0.0, "0"), (3.14e-7, "3.1e-07"), (math.nan, ""), (1e5, "1e+05")],
)
def test_numbers_are_shown_with_few_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_table_is_markdown_under_its_title() -> None:
    table = Table("Errors", "", ["model", "ar2"], {"elnino": [0.5, math.nan], "sun": [0.25, 12.0]})
    assert str(table).splitlines() == [
        "Errors",
        "",
        "|        | model |  ar2 |",
        "| ------ | ----: | ---: |",
        "| elnino | 0.500 |      |",
        "| sun    | 0.250 | 12.0 |",
    ]


def test_a_page_is_filled_between_its_markers_and_nowhere_else() -> None:
    page = "before\n<!-- errors -->\nold\n<!-- /errors -->\nafter\n"
    once = filled(page, "errors", "new \\1")
    assert once == "before\n<!-- errors -->\n\nnew \\1\n\n<!-- /errors -->\nafter\n"
    assert filled(once, "errors", "new \\1") == once
    with pytest.raises(ValueError, match="no place between <!-- other -->"):
        filled(page, "other", "")
