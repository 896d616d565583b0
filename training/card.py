"""The model card: what an artifact's own metadata says of it, for people. `python -m training card` writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from pydantic import JsonValue

from model import DEFAULT_ARTIFACT
from model.artifact import Artifact, read_artifact
from model.metadata import Metadata
from training.tables import Table

_USES = {
    "sine": "The model continues a sine whose period is in the range below, with any phase, amplitude and level, clean "
    "or noisy. It is not meant for sums of waves, for trends, or for periods outside of the range: answers for such "
    "sequences have a warning.",
    "series": "The model continues series like those that it was trained on, in the same units and with the same "
    "distance in time between values. It knows nothing of later events.",
}


_RANGES = {"period", "phase", "amplitude", "level", "context", "horizon"}
"""The entries whose two numbers are the ends of a range. Every other list is one of single values."""


def model_card(artifact: Artifact) -> str:
    """The card as Markdown. The same artifact gives the same text."""
    about = artifact.metadata
    kind = str(about.data.get("kind", "sine"))
    shape = about.architecture
    parts = [
        f"# Model card: {about.name} {about.version}",
        "`python -m training card` writes this page from the artifact's own metadata. A test compares the two.",
        "## What the model is",
        f"It is a recurrent network ({shape.cell}, {_counted(shape.layers, 'layer')} of {shape.hidden} units) that "
        f"predicts the next value of a sequence and feeds it back for a rollout. It was trained with torch "
        f"{about.torch_version}. The sha256 of the artifact is `{artifact.digest}`.",
        "## What the model is for",
        _USES[kind],
        "## Training data",
        _listed(about.data),
        "## Errors",
        _errors(about),
        "AR(2), fitted by least squares, is exact on a clean sine up to rounding: use a model of clean sines to learn "
        "from, and not to beat mathematics."
        if kind == "sine"
        else "Seasonal naive and AR(2) were fitted to everything before the held-out part.",
        "## Prediction intervals",
        _coverage(about),
        "## Training options",
        _listed(about.training),
    ]
    return "\n\n".join(parts) + "\n"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _listed(values: Mapping[str, JsonValue]) -> str:
    return "\n".join(f"- {key.replace('_', ' ')}: {_shown(key, value)}" for key, value in values.items())


def _shown(key: str, value: JsonValue) -> str:
    if isinstance(value, list):
        return (" to " if key in _RANGES else ", ").join(_shown(key, each) for each in value)
    return f"{value:.6g}" if isinstance(value, float) else "not set" if value is None else str(value)


def _all(numbers: Sequence[int]) -> str:
    """Return the numbers as `16, 32 and 64`."""
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}" if others else last


def _errors(about: Metadata) -> str:
    """The errors as a table: one row for each forecaster, one column for each kind of error."""
    columns = [key for key in about.errors if "/" not in key]
    names = ["", *dict.fromkeys(key.split("/")[0] + "/" for key in about.errors if "/" in key)]
    rows = {
        name.removesuffix("/").replace("_", " ") or "this model": [
            about.errors.get(name + key, float("nan")) for key in columns
        ]
        for name in names
    }
    unit = "amplitude" if about.data.get("kind", "sine") == "sine" else "standard deviation of the training part"
    title = f"Errors on data that training never saw, as fractions of the {unit}:"
    return str(Table(title, "", [column.replace("_", " ") for column in columns], rows))


def _coverage(about: Metadata) -> str:
    """Describe the prediction intervals and their measured coverage."""
    made = about.intervals
    if made is None:
        return "The model has no prediction intervals."
    columns = ["least", "mean", "most"]
    rows = {
        f"{row.context} values, {row.of}, {row.level} %": [row.lowest, row.mean, row.highest] for row in made.coverage
    }
    if about.data.get("kind", "sine") == "sine":
        fresh = "as many fresh"
        holds = "They hold for sines like those of the training data, clean or noisy, and for the values as observed."
    else:
        fresh = "the held-out"
        holds = (
            "These windows have also chosen the weights, so the intervals may be too narrow. They hold for series like "
            "those of the training data."
        )
    title = f"Percentage of {fresh} rollouts inside the intervals: the least, the mean and the most of all steps:"
    return "\n\n".join(
        [
            f"`level` in a request asks for prediction intervals. They exist for sequences of at least "
            f"{made.contexts[0]} values and for up to {made.horizon} steps. They are split conformal, with a width of "
            f"its own for each step. They were calibrated for {_all(made.contexts)} values, each time on the errors of "
            f"{made.rollouts:,} rollouts from windows that were not trained on. {holds}",
            str(Table(title, "given, kind, level", columns, rows)),
        ]
    )


@dataclass(frozen=True)
class Card:
    """Write the model card of an artifact."""

    artifact: tyro.conf.Positional[Path] = DEFAULT_ARTIFACT
    """The artifact."""

    output: Path = Path("docs/model-card.md")
    """The page to write."""


def run(options: Card) -> None:
    """Write the card, and say where."""
    options.output.write_text(model_card(read_artifact(options.artifact)), "utf-8")
    print(f"wrote {options.output}")
