"""Tests that the model card describes the shipped model, and says of a model what its metadata says."""

import dataclasses

from model import DEFAULT_ARTIFACT
from model.artifact import read_artifact
from model.metadata import Calibration, Coverage, Fitting
from tests.server import ROOT
from training.card import model_card


def test_the_model_card_is_current() -> None:
    page = (ROOT / "docs" / "model-card.md").read_text("utf-8")
    assert page == model_card(read_artifact(DEFAULT_ARTIFACT)), "`python -m training card` updates it"


def card_of(**changes: object) -> str:
    """Return the card of the shipped artifact with other metadata."""
    artifact = read_artifact(DEFAULT_ARTIFACT)
    return model_card(dataclasses.replace(artifact, metadata=artifact.metadata.model_copy(update=changes)))


def test_two_ends_are_shown_as_a_range_and_other_numbers_one_by_one() -> None:
    page = card_of(
        data={"kind": "sine", "period": [8.0, 64.0]},
        training={"context": [48, 96], "finish_horizons": [1, 1, 8, 32], "interval_contexts": [16, 32, 64]},
    )
    assert "- period: 8 to 64\n" in page
    assert "- context: 48 to 96\n" in page
    assert "- finish horizons: 1, 1, 8, 32\n" in page
    assert "- interval contexts: 16, 32, 64\n" in page


def coverage() -> list[Coverage]:
    """Return the coverage of two levels of noise after two contexts, and that of another family after the longer."""
    measured = [(16, "clean"), (16, "10 dB"), (64, "clean"), (64, "10 dB"), (64, "two sines"), (64, "random walk")]
    return [
        Coverage(context=context, of=kind, level=95, lowest=90 - number, mean=94 + number / 10, highest=96)
        for number, (context, kind) in enumerate(measured)
    ]


FITTED: dict[str, object] = {
    "training": {"context_evaluated": 64},
    "normalisation": "range",
    "fit": Fitting(
        contexts=[8, 64],
        clean=[0.01, 0.001],
        noisiest=[0.3, 0.25],
        largest_ratio=[3.0, 2.5],
        warned={"clean": 0.1, "two sines": 99.5},
    ),
    "intervals": Calibration(
        contexts=[16, 64],
        horizon=256,
        steps=[1, 256],
        noise_edges=[[0.1], [0.1]],
        residual_edges=[[[0.2, 0.3], [0.3, 0.4]], [[0.2, 0.3], [0.3, 0.4]]],
        rollouts=3333,
        coverage=coverage(),
    ),
}


def test_the_card_describes_units_fit_and_warnings() -> None:
    page = card_of(**FITTED)
    assert "f(a x + c) = a f(x) + c" in page
    assert "with any phase, amplitude and level" in page
    assert "it answers most of them with a warning" in page
    assert "fewer than 8 values has no fit" in page
    assert "| 64     |     0.00100 |      0.250 |          2.50 |" in page
    assert "fresh sequences of 64 values that are answered with a warning" in page
    assert "| two sines |   99.5 |" in page


def test_the_card_shows_the_coverage_by_noise_and_by_family() -> None:
    page = card_of(**FITTED)
    assert "in each of 6 bins of noise and residual" in page
    for title, rows in (
        ("on average over all steps:", ["| 16 values, 95 % |  94.0 |  94.1 |", "| 64 values, 95 % |  94.2 |  94.3 |"]),
        ("furthest from the level:", ["| 16 values, 95 % |  90.0 |  89.0 |", "| 64 values, 95 % |  88.0 |  87.0 |"]),
    ):
        table = f"{title}\n\n| given, level    | clean | 10 dB |\n| --------------- | ----: | ----: |\n"
        assert table + "\n".join(rows) + "\n" in page
    assert "| given, level    | two sines | random walk |" in page
    assert "with the noise of the values given" in page


def test_the_card_of_an_older_artifact_promises_neither_a_level_nor_a_warning() -> None:
    page = card_of(
        normalisation="max_abs",
        fit=None,
        intervals=Calibration(
            contexts=[16],
            horizon=9,
            rollouts=70,
            coverage=[Coverage(context=16, level=80, lowest=79.1, mean=80, highest=81)],
        ),
    )
    assert "f(a x) = a f(x)" in page
    assert "around a level of zero" in page
    assert "never warns" in page
    assert "with a warning" not in page
    assert "| 16 values, 80 % |  79.1 | 80.0 | 81.0 |" in page


def test_the_card_of_a_model_of_your_own_series_says_which_errors_are_beyond_what_was_measured() -> None:
    errors = {"mae": 0.01, "next_value": 0.02, "mase": 0.01, "any/mae": 100.0, "any/next_value": 1, "any/mase": 100.0}
    page = card_of(data={"kind": "own"}, errors=errors, fit=FITTED["fit"])
    assert "windows of the series, and larger than the limit of `any`." in page
    assert "| this model | ≤ 0.01 |     0.0200 | 0.0100 |" in page
    assert "| any        |  ≥ 100 |       1.00 |    100 |" in page


def test_the_card_of_a_model_of_series_says_what_calibrated_its_intervals() -> None:
    artifact = read_artifact(DEFAULT_ARTIFACT)
    about = artifact.metadata.model_copy(
        update={
            "data": {"kind": "series", "series": 1},
            "intervals": Calibration(
                contexts=[48],
                horizon=24,
                rollouts=70,
                coverage=[Coverage(context=48, level=80, lowest=70, mean=75, highest=80)],
            ),
        }
    )
    page = model_card(dataclasses.replace(artifact, metadata=about))
    assert "calibrated for 48 values, each time on the errors of 70 rollouts" in page
    assert "may be too narrow" in page
    assert "Percentage of the held-out rollouts" in page
    assert "clean sine" not in page
