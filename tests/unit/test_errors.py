"""Tests of the kinds of refusals."""

import pytest

from app.errors import REASONS, Problem


@pytest.mark.parametrize("kind", Problem.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_kind_of_refusal_makes_an_example(kind: type[Problem]) -> None:
    example = kind.example()
    assert example.reason in REASONS
    assert example.detail
