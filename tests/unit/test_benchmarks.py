"""Tests of the benchmarks' computations. They measure no time."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import document, report, tanh_fit
from benchmarks.load import Measured, medians
from benchmarks.peers.registry import PEERS, VARIANTS, by_name
from benchmarks.report import Table, Target
from model.runtime import gates


def test_the_fit_finds_the_coefficients_of_the_kernel() -> None:
    found = tanh_fit.fit()
    for mine, served in ((found.P, gates._P), (found.Q, gates._Q)):
        assert [np.float32(f"{c:.9g}") for c in mine] == list(served)


def test_the_fit_is_as_good_as_the_kernel_says() -> None:
    absolute, relative = tanh_fit.errors(tanh_fit.fit(), np.float32)
    assert max(absolute, relative) < 4e-7


@pytest.mark.parametrize(
    ("measured", "at_most", "verdict"),
    [
        (3.0, False, "met"),
        (1.0, False, "missed by 50 %"),
        (1.0, True, "met"),
        (3.0, True, "missed by 50 %"),
        (1.9958, False, "missed by 0.2 %"),
        (2.000001, True, "missed by 5e-05 %"),
    ],
)
def test_a_target_says_by_how_much_it_is_missed(measured: float, at_most: bool, verdict: str) -> None:
    assert Target("work", measured, 2.0, at_most).row()[-1] == verdict


def test_disturbed_rounds_count_only_if_there_are_no_others() -> None:
    quiet, disturbed = (Measured(rate, 1, 1, 0, 1, 1, foreign) for rate, foreign in ((100.0, 0.0), (1.0, 0.5)))
    assert medians([quiet, disturbed]).rate == 100.0
    assert medians([disturbed]).disturbed


def test_a_page_gets_its_tables_from_the_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {"tables": {"steps, µs": {"columns": ["a", "b"], "rows": [["1", "2"]]}}, "machine": {"cores": "2"}}
    monkeypatch.setattr(document, "load", {"kernel": measured}.get)
    page = (
        "before\n<!-- bench kernel.steps, µs -->\nold\n<!-- /bench -->\n<!-- bench other.x -->\nkept\n<!-- /bench -->\n"
    )
    filled = document.filled(page)
    assert str(Table(["a", "b"], [["1", "2"]])) in filled
    assert "old" not in filled
    assert "kept" in filled
    assert document.filled(filled) == filled


@pytest.mark.parametrize("path", document.PAGES, ids=lambda path: path.name)
def test_every_marker_of_a_page_is_closed(path: Path) -> None:
    page = path.read_text()
    assert page.count("<!-- bench ") == page.count("<!-- /bench -->") == len(document._PLACE.findall(page))


def test_every_peer_has_a_name_of_its_own() -> None:
    names = [peer.name for peer in (*PEERS, *VARIANTS)]
    assert len(set(names)) == len(names)
    assert [by_name(name).name for name in names] == names


def test_numbers_keep_three_digits() -> None:
    assert [report.number(value) for value in (0.012345, 1.2345, 123.45, 12345.6)] == [
        "0.0123",
        "1.23",
        "123",
        "12,346",
    ]
