"""The verdict on a model of your own series: its rank, and one sentence that says what to do."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from model.metadata import Calibration
from training.data import Floats
from training.own.backtest import LARGEST_RATIO, SMALLEST_RATIO, Errors
from training.tables import Table, number

MODEL, NAIVE = "this model", "seasonal naive"
NOISE = 0.05
"""Two errors that differ by a smaller fraction count as equal: on real series, fits to other origins differ as much."""

EXACT = 1e-4
"""An RMSE below this fraction of the standard deviation counts as none."""

FAR = 15
"""Percentage points that the coverage of intervals may be off, with any number of forecasts. Beyond it, intervals of
80 % miss more than one value in three, or less than one in twenty, instead of one in five.
"""

FEW = 5
"""Fewer forecasts than this say little about a model."""

_LIMITS = {SMALLEST_RATIO: f"≤ {SMALLEST_RATIO:g}", LARGEST_RATIO: f"≥ {LARGEST_RATIO:g}"}
_NAMES = {4: "a year of quarters", 7: "a week of days", 12: "a year of months", 24: "a day of hours"}
_NAMES |= {48: "a day of half-hours", 52: "a year of weeks", 168: "a week of hours", 336: "a week of half-hours"}
_NAMES |= {96: "a day of quarters of an hour", 288: "a day of five minutes", 365: "a year of days"}


def table(errors: Mapping[str, Errors], title: str) -> Table:
    """Return the errors as a table, the best forecaster first."""
    rows = {name: list(errors[name]) for name in ranked(errors)}
    columns = ["MAE, seasonal naive = 1", "next value", "MASE", "RMSSE", "RMSE, deviations"]
    return Table(title, "", columns, rows, dict.fromkeys(columns[:2], ratio_text))


def ranked(errors: Mapping[str, Errors]) -> list[str]:
    """Return the names of the forecasters, the one with the smallest error first.

    Errors at a limit of the ratios are equal. The MASE sorts them, or the RMSE where there is no MASE.
    """

    def key(name: str) -> tuple[float, ...]:
        one = errors[name]
        return one.mae, *(math.inf if math.isnan(value) else value for value in (one.mase, one.rmse))

    return sorted(errors, key=key)


def ratio_text(ratio: float) -> str:
    """Return the text of a ratio to the error of seasonal naive, which was not measured beyond its limits."""
    return _LIMITS.get(ratio) or number(ratio)


def rank_line(errors: Mapping[str, Errors]) -> str:
    """Return the place of the model among all, and its distance to the next one or the best one."""
    order = ranked(errors)
    place, own = order.index(MODEL) + 1, errors[MODEL]
    said, name = ("the next", order[1]) if place == 1 else ("the best", order[0])
    other = errors[name]
    tied = own.mae == other.mae == SMALLEST_RATIO and not math.isnan(own.mase)
    own_error, other_error = (_ratio(one.mae) + f" (MASE {number(one.mase)})" * tied for one in (own, other))
    line = f"rank {place} of {len(order)}: its mean error is {own_error} {'times' if own.mae > 1 else 'of'} that of"
    return f"{line} seasonal naive; {said} is {name} with {other_error}"


def network_rank(errors: Mapping[str, float]) -> str:
    """Return the place of a network among its baselines, from `evaluate` in `training/measures.py`."""
    measure = max((key for key in errors if key.startswith("rollout_")), key=lambda key: int(key.split("_")[1]))
    rows = {name.partition("/")[0]: value for name, value in errors.items() if name.endswith(f"/{measure}")}
    rows["this network"] = errors[measure]
    order = sorted(rows, key=lambda name: rows[name])
    others = ", ".join(f"{name.replace('_', ' ')} {rows[name]:.3g}" for name in order)
    place = order.index("this network") + 1
    return f"rank {place} of {len(order)} by the RMSE over the whole horizon: {others}"


def season_line(season: int, found: bool) -> str:
    """Return a sentence about the season."""
    how = "found in the values" if found else "as you said"
    if season == 1:
        return f"season: none, {how}"
    return f"season: {season} values{_named(season)}, {how}"


def horizon_line(horizon: int, season: int) -> str:
    """Return the horizon in words."""
    values = f"{horizon} value" + "s" * (horizon != 1)
    if season == 1:
        return f"horizon: {values}"
    if horizon % season == 0:
        return f"horizon: {values}, which is {counted(horizon // season, 'season')}"
    return f"horizon: {values}, which is {horizon / season:.2g} of a season"


def coverage_line(calibration: Calibration | None, known: Sequence[Floats], level: int = 80) -> str:
    """Return a sentence about the intervals. `known` are the series without their held-out parts."""
    held = _held(calibration, level)
    if calibration is None:
        if not any(np.ptp(x_N) > 0 for x_N in known):
            return "intervals: none, because the series do not change before their held-out part"
        return "intervals: none, because too few values before the held-out part can calibrate them"
    if held is None:
        return "intervals: not measured, because the held-out part follows too few values or constant ones"
    return f"intervals: those of {level} % held {held:.0f} % of the values in the held-out part"


def sentence(errors: Mapping[str, Errors], serve: str, season: int) -> str:
    """Return what to do: serve the model with the command `serve`, or what to take instead."""
    best = ranked(errors)[0]
    repeated = "last season" if season > 1 and best != "last value" else "last value"
    if best == MODEL or _equal(errors[MODEL], errors[best]):
        if errors[MODEL].mae >= 1 - NOISE:
            return f"Nothing is better than repeating the {repeated}, and this model is no worse. It serves: {serve}"
        return f"Serve it: {serve}"
    if best == "any":
        return 'Do not serve it: the model "any", which is served without a training, is better on these series.'
    if best in (NAIVE, "last value"):
        return f"Do not serve it: repeating the {repeated} is better."
    return f"Do not serve it: {best} is better on these series."


def caution(forecasts: int) -> str:
    """Return a warning if the errors come from few forecasts, otherwise nothing."""
    if forecasts >= FEW:
        return ""
    say = "says" if forecasts == 1 else "say"
    return f"caution: {counted(forecasts, 'forecast')} of a held-out part this short {say} little"


def interval_caution(calibration: Calibration | None, forecasts: int, level: int = 80) -> str:
    """Return a warning if the intervals held far from their level in the held-out part, otherwise nothing.

    Far is more than two standard errors of so many forecasts, and `FAR` at least. The values of a forecast may be held
    or missed together, so they count as one.
    """
    held = _held(calibration, level)
    far = max(FAR, 2 * math.sqrt(level * (100 - level) / forecasts)) if forecasts else math.inf
    if held is None or abs(held - level) <= far:
        return ""
    width = "narrow" if held < level else "wide"
    return f"caution: the intervals are not to be trusted: they are too {width} on the held-out part"


def _held(calibration: Calibration | None, level: int) -> float | None:
    """Return how many per cent of the values in the held-out part the intervals of a level held, None without them."""
    return next((row.mean for row in calibration.coverage if row.level == level), None) if calibration else None


def _equal(one: Errors, best: Errors) -> bool:
    """Return whether an error differs from the best one by noise alone. RMSE tells it where the ratio is at a limit."""
    if best.mae > SMALLEST_RATIO:
        return one.mae <= best.mae * (1 + NOISE)
    return one.rmse <= max(EXACT, best.rmse * (1 + NOISE))


def _ratio(ratio: float) -> str:
    return _LIMITS.get(ratio) or f"{ratio:.3f}"


def _named(season: int) -> str:
    return f" ({_NAMES[season]})" if season in _NAMES else ""


def counted(count: int, noun: str) -> str:
    """Return the number and the noun, in the plural unless it is one."""
    return f"{count} {noun}" + "s" * (count != 1)
