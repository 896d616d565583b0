"""Tests that the model card describes the shipped model, and says of a model what its metadata says."""

import dataclasses

from model import DEFAULT_ARTIFACT
from model.artifact import read_artifact
from model.metadata import Calibration
from tests.server import ROOT
from training.card import model_card


def test_the_model_card_is_current() -> None:
    page = (ROOT / "docs" / "model-card.md").read_text("utf-8")
    assert page == model_card(read_artifact(DEFAULT_ARTIFACT)), "`python -m training card` updates it"


def test_two_ends_are_shown_as_a_range_and_other_numbers_one_by_one() -> None:
    page = model_card(read_artifact(DEFAULT_ARTIFACT))
    assert "- period: 8 to 64\n" in page
    assert "- context: 24 to 128\n" in page
    assert "- finish horizons: 8, 32, 100, 100," in page
    assert "- interval contexts: 16, 32, 64, 96, 128, 256\n" in page


def test_the_card_of_a_model_of_series_says_what_calibrated_its_intervals() -> None:
    artifact = read_artifact(DEFAULT_ARTIFACT)
    about = artifact.metadata.model_copy(
        update={
            "data": {"kind": "series", "series": 1},
            "intervals": Calibration(contexts=[48], horizon=24, rollouts=70, coverage=[]),
        }
    )
    page = model_card(dataclasses.replace(artifact, metadata=about))
    assert "calibrated for 48 values, each time on the errors of 70 rollouts" in page
    assert "may be too narrow" in page
    assert "Percentage of the held-out rollouts" in page
    assert "clean sine" not in page
