"""Tests of the kinds of refusals."""

import pytest

from app.errors import REASONS, Problem
from app.problems import problem_response
from app.schemas import TimeSeriesProblem


@pytest.mark.parametrize("kind", Problem.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_kind_of_refusal_makes_an_example(kind: type[Problem]) -> None:
    example = kind.example()
    assert example.reason in REASONS
    assert example.detail


@pytest.mark.parametrize("kind", Problem.__subclasses__(), ids=lambda kind: kind.__name__)
def test_the_type_of_a_refusal_of_time_series_says_error_once(kind: type[Problem]) -> None:
    response = problem_response(kind.example(), "/v1/timeseries/forecast")
    name = TimeSeriesProblem.model_validate_json(bytes(response.body)).error.type
    assert name.count("Error") == 1
    assert name.endswith("Error")
