"""Tests that the model card describes the shipped model."""

from model import DEFAULT_ARTIFACT
from model.artifact import read_artifact
from tests.server import ROOT
from training.card import model_card


def test_the_model_card_is_current() -> None:
    page = (ROOT / "docs" / "model-card.md").read_text("utf-8")
    assert page == model_card(read_artifact(DEFAULT_ARTIFACT)), "`python -m training card` updates it"
