"""The model card: what an artifact's own metadata says of it, for people. `python -m training card` writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from pydantic import JsonValue

from model import DEFAULT_ARTIFACT
from model.artifact import Artifact, read_artifact
from model.fit import RECENT
from model.metadata import Coverage, Metadata
from training.calibration import usual_context
from training.own.verdict import ratio_text
from training.tables import Table

_USES = {
    "sine": "The model continues one sine whose period is in the range below, with any phase{level}. It is not meant "
    "for sums of waves, for trends, or for periods outside of the range{warned}.",
    "series": "The model continues series like those that it was trained on, with the same distance in time between "
    "values. It knows nothing of later events.",
    "own": "The model continues series like those that it was fitted to, with the same distance in time between "
    "values. Its forecast is a mean of that of the model `any` and that of members: an autoregression and smoothing "
    "cells, which backtests on these series chose. A request with fewer values than the members begin with is "
    "continued as `any` does.",
    "prior": "The model continues any series, and has learned from synthetic series alone. It mixes the forecasts of "
    "simple methods, as their errors on the values given suggest. The season of the series is part of a request.",
}

_BASELINES = {
    "sine": "AR(2), fitted by least squares, is exact on a clean sine up to rounding: use a model of clean sines to "
    "learn from, and not to beat mathematics.",
    "series": "Seasonal naive and AR(2) were fitted to everything before the held-out part.",
    "own": "`mae` and `next value` are relative to the errors of seasonal naive: geometric means over series. The "
    "others are means over series. `rmse` is a fraction of the standard deviation. All were measured from rolling "
    "origins in the held-out part, before the members were fitted to it.",
    "prior": "An error is the geometric mean, over series, of its ratio to that of seasonal naive. The mean of the "
    "anchors is what the network was before its training.",
}

_ERROR_UNITS = {
    "sine": "amplitude",
    "series": "standard deviation of the training part",
    "prior": "error of seasonal naive",
}

_UNITS = {
    "range": "The network sees (value - level) / scale. The level of a sequence is the middle of the range of the "
    "values given, and the scale is half of that range. So the forecast f follows every change of unit: "
    "f(a x + c) = a f(x) + c. A constant sequence is continued as the constant.",
    "anchors": "The network sees (value - level) / scale. The level of a sequence is the middle of the range of the "
    "values given, and the scale is half of that range. So the forecast f follows a change of scale: f(a x) = a f(x). "
    "One of the mixed methods multiplies, so a change of level may change the forecast. A constant sequence is "
    "continued as the constant.",
    "max_abs": "The network sees value / scale. The scale of a sequence is the largest absolute value given, so the "
    "forecast f follows a change of unit without a change of level: f(a x) = a f(x).",
    "standard": "The network sees (value - level) / scale. Level and scale are the mean and the standard deviation of "
    "the training data: {level:.6g} and {scale:.6g}.",
}

_RANGES = {"period", "phase", "amplitude", "level", "context", "horizon"}
"""The entries whose two numbers are the ends of a range. Every other list is one of single values."""


def model_card(artifact: Artifact) -> str:
    """The card as Markdown. The same artifact gives the same text."""
    about = artifact.metadata
    kind = str(about.data.get("kind", "sine"))
    shape = about.architecture
    level = ", amplitude and level" if about.normalisation == "range" else " and amplitude, around a level of zero"
    units = "anchors" if shape.inputs == "anchors" else about.normalisation
    warned = "" if about.fit is None else ": it answers most of them with a warning, as a table below shows"
    parts = [
        f"# Model card: {about.name} {about.version}",
        "`python -m training card` writes this page from the artifact's own metadata. A test compares the two.",
        "## What the model is",
        f"It is a recurrent network ({shape.cell}, {_counted(shape.layers, 'layer')} of {shape.hidden} units) that "
        f"predicts the next value of a sequence and feeds it back for a rollout. It was trained with torch "
        f"{about.torch_version}. The sha256 of the artifact is `{artifact.digest}`.",
        "## What the model is for",
        _USES[kind].format(level=level, warned=warned),
        "## Units",
        _UNITS[units].format(level=about.offset, scale=about.scale or 1.0),
        "## Training data",
        _listed(about.data),
        "## Errors",
        _errors(about),
        _BASELINES[kind],
        "## Fit and warnings",
        _fit(about),
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
    unit = _ERROR_UNITS.get(str(about.data.get("kind", "sine")))
    title = f"Errors on data that training never saw, as fractions of the {unit}:"
    if about.data.get("kind") == "own":
        title = "Errors on values that the members had not seen:"
    formats = dict.fromkeys(("mae", "next value"), ratio_text) if about.data.get("kind") == "own" else {}
    return str(Table(title, "", [column.replace("_", " ") for column in columns], rows, formats))


def _fit(about: Metadata) -> str:
    """Describe the fit, and say how often it warns."""
    fit = about.fit
    if fit is None:
        return "The model has no fit: it does not know how well it fits a sequence, and never warns."
    kind = about.data.get("kind", "sine")
    sequences = "waves, clean and noisy" if kind == "sine" else "windows of the series"
    if kind == "own":
        sequences += ", and larger than the limit of `any`"
    contexts = zip(fit.contexts, fit.clean, fit.noisiest, fit.largest_ratio, strict=True)
    of_context = {f"{context}": [*numbers] for context, *numbers in contexts}
    parts = [
        f"The network predicts every value given from those before it. The *residual* is the RMS of the errors of "
        f"these predictions over the later half of the values, {RECENT} at most. The *ratio* is the residual divided "
        f"by the noise, which is the part of the errors that changes from value to value. The noise counts as no less "
        f"than the least and no more than the most in the table. A sequence does not fit if its ratio is larger than "
        f"those of 99.9 % of held-out {sequences}. Its answers then have a warning. A sequence of fewer than "
        f"{fit.contexts[0]} values has no fit. `model/fit.py` has the formulas.",
        str(
            Table(
                "Limits by the number of values given, in units of the sequence:",
                "values",
                ["least noise", "most noise", "largest ratio"],
                of_context,
            )
        ),
    ]
    evaluated = about.training.get("context_evaluated")
    if fit.warned and about.intervals and isinstance(evaluated, int):
        usual = usual_context(about.intervals.contexts, evaluated)
        title = f"Percentage of fresh sequences of {usual} values that are answered with a warning:"
        parts.append(str(Table(title, "", ["warned"], {name: [share] for name, share in fit.warned.items()})))
    return "\n\n".join(parts)


def _coverage(about: Metadata) -> str:
    """Describe the prediction intervals and their measured coverage."""
    made = about.intervals
    if made is None:
        return "The model has no prediction intervals."
    waves = about.data.get("kind", "sine") == "sine"
    if not waves:
        holds = (
            "These windows have also chosen the weights, so the intervals may be too narrow. They hold for series like "
            "those of the training data."
        )
    elif about.fit is None:
        holds = "They hold for clean sines like those of the training data."
    else:
        holds = (
            "They hold for sines like those of the training data, and for the next values as they will be observed, "
            "with the noise of the values given. On other sequences they are wider, but may be too narrow."
        )
    follows = "a width for each step that follows the residual, and grows faster where the sequence does not fit"
    width = "a width of its own for each step" if about.fit is None else follows
    outer = "noise" if made.growth_edges is None else "growth"
    bins = sum(len(inner) + 1 for inner in made.residual_edges[0]) if made.residual_edges else 1
    errors = f"the errors of {made.rollouts:,} rollouts" + (
        f" in each of {bins} bins of {outer} and residual" if bins > 1 else ""
    )
    text = (
        f"`level` in a request asks for prediction intervals. They exist for sequences of at least {made.contexts[0]} "
        f"values and for up to {made.horizon} steps. They are split conformal, with {width}. They were calibrated for "
        f"{_all(made.contexts)} values, each time on {errors} from windows that were not trained on. {holds}"
    )
    return "\n\n".join([text, *map(str, coverage_tables(made.coverage, "fresh" if waves else "the held-out"))])


def coverage_tables(coverage: Sequence[Coverage], windows: str = "fresh") -> list[Table]:
    """Tabulate the percentages of windows inside the intervals.

    Kinds of windows that were measured after the same lengths of context share two tables, with a column for each: the
    mean over all steps, and the step where that is furthest from the level. A kind that stands alone has one table.
    """
    contexts_by_kind = {
        row.of: tuple(dict.fromkeys(one.context for one in coverage if one.of == row.of)) for row in coverage
    }
    tables = []
    for contexts in dict.fromkeys(contexts_by_kind.values()):
        kinds = [kind for kind, measured in contexts_by_kind.items() if measured == contexts]
        rows = [row for row in coverage if row.of in kinds]
        title = f"Percentage of {windows} rollouts inside the intervals"
        if len(kinds) == 1:
            columns = ["least", "mean", "most"]
            numbers = {_name(row): [row.lowest, row.mean, row.highest] for row in rows}
            tables.append(
                Table(f"{title}: the least, the mean and the most of all steps:", "given, level", columns, numbers)
            )
            continue
        for what, number in (
            ("on average over all steps", _mean),
            ("at the step where that is furthest from the level", _furthest),
        ):
            numbers = {_name(row): [number(one) for one in rows if _name(one) == _name(row)] for row in rows}
            tables.append(Table(f"{title}, {what}:", "given, level", kinds, numbers))
    return tables


def _name(row: Coverage) -> str:
    return f"{row.context} values, {row.level} %"


def _mean(row: Coverage) -> float:
    return row.mean


def _furthest(row: Coverage) -> float:
    return max(row.lowest, row.highest, key=lambda held: abs(held - row.level))


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
