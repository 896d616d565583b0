"""Tests of the capacity model's arithmetic. `python -m benchmarks.capacity` measures the costs."""

import pytest

from benchmarks.capacity import BUSY, NIGHT_S, RequestCost, night, plan, tables

COST = RequestCost("/predict", worker_us=35, proxy_us={"nginx": 24}, bytes_in=600, bytes_out=400)


def test_a_load_takes_its_rate_times_the_cost_of_a_request_and_leaves_a_part_of_each_core_free() -> None:
    needs = plan(COST, rate=1e6, worker_mb=200)
    assert needs.cores == pytest.approx(35 / BUSY)
    assert needs.proxy_cores == {"nginx": pytest.approx(24 / BUSY)}
    assert needs.pods == 50
    assert needs.memory_gb == pytest.approx(10)
    assert needs.network_gbit_s == pytest.approx(8)


@pytest.mark.parametrize("rate", [0.1, 1e3, 1e4])
def test_there_are_two_pods_for_any_small_load(rate: float) -> None:
    assert plan(COST, rate, 200).pods == 2


def test_a_night_of_one_core_forecasts_what_the_core_does_in_that_time() -> None:
    series_us = 25.0
    assert night(NIGHT_S * BUSY * 1e6 / series_us, series_us) == pytest.approx(1)


def test_the_tables_have_a_row_for_each_load_and_a_column_for_each_proxy() -> None:
    found = tables([COST], 200, {"sine": 40, "any": 300}, rates=[5000])
    assert found["online"].columns == ["load", "cores", "cores of nginx", "pods", "memory, GB", "Gbit/s"]
    assert found["online"].rows[0][0] == "/predict, 5,000/s"
    assert [row[0] for row in found["bulk"].rows] == ["sine", "any"]
    for table in found.values():
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
