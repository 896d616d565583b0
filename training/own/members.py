"""Members that were chosen, and their fit to series. `model/members` defines what they compute.

Many series share all choices and weights. Each counts in units of its own.

Shape suffixes: N values of a series, W window, P errors.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from model.members.reference import MemberWeights
from model.metadata import MemberSizes
from training.data import Floats
from training.own import regressions, smoothing
from training.own.backtest import naive_scale
from training.own.regressions import Candidate, inner_season

SHARE, WEIGHT = 0.5, 0.5
"""Share of the regression among the members, and weight of the members of many values beside the anchored network.

They are fixed: on 28 real series, those that backtests chose had larger errors.
"""

FARTHEST = 5.0
"""Largest distance of a value below the lower quartile, in distances between the quartiles, for logarithms."""

NEARLY_ALL = 0.9

Rates = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Choice:
    """The members that were chosen. Only their weights remain to be fitted."""

    season: int
    logarithm: bool
    regressions: tuple[tuple[Candidate, float], ...]
    """Candidates, and the ridge of each."""

    cells: tuple[tuple[Rates, float], ...]
    """Rates, and the ridge of the errors' weights of each."""

    errors: int
    values: int
    weight: float = WEIGHT
    """Weight of the members beside the anchored network."""

    error: float = np.inf
    """Mean absolute error of its backtests, in units of the mean absolute change over a season."""

    error_alone: float = np.inf
    """The same error of the anchored network alone."""

    @property
    def sizes(self) -> MemberSizes:
        inner = inner_season(self.season) if self.cells else 1
        season = self.season if self.cells else 1
        return MemberSizes(
            values=self.values,
            cells=len(self.cells),
            errors=self.errors if self.cells else 0,
            inner=inner,
            season=season,
            logarithm=self.logarithm,
        )


def has_logarithms(x_N: Floats) -> bool:
    """Return whether members may see the logarithms of a series: it is positive, and no value is far below the others.

    The logarithm of a value near zero is an outlier that no value has.
    """
    if not (x_N > 0).all():
        return False
    low, quarter, rest = np.quantile(np.log(x_N), [0, 0.25, 0.75])
    return bool(quarter - low <= FARTHEST * (rest - quarter))


def usable(choices: Sequence[Choice], series: Iterable[Floats]) -> Choice | None:
    """Return the best choice of members that nearly all series can be fitted with, None without one.

    A series that has no logarithms is left out of a fit that needs them.
    """
    share = np.mean([has_logarithms(x_N) for x_N in series])
    return next((choice for choice in choices if not choice.logarithm or share >= NEARLY_ALL), None)


def fit(choice: Choice, series: Iterable[Floats]) -> MemberWeights:
    """Return the weights of chosen members, fitted to series. Each series is in units of its own."""
    sizes = choice.sizes
    window_LL = np.zeros((choice.values + 2, choice.values + 2))
    error_EPP = np.zeros((sizes.cells, sizes.errors + 1, sizes.errors + 1))
    for u_N, unit in _in_units(series, choice.logarithm, choice.season):
        if choice.regressions and len(u_N) > choice.values:
            window_LL += regressions.moments(u_N, choice.values) / unit**2
        for number, (rate_5, _) in enumerate(choice.cells):
            if len(u_N) > choice.values + sizes.errors:
                error_N = smoothing.cell_errors(u_N, choice.values, rate_5, sizes.inner, sizes.season)
                error_EPP[number] += smoothing.error_moments(error_N[choice.values :], sizes.errors) / unit**2
    filter_W = np.zeros(choice.values + 1)
    if choice.regressions:
        rows = [regressions.solve_stable(candidate, window_LL, ridge) for candidate, ridge in choice.regressions]
        filter_W = np.mean(rows, axis=0)
        if regressions.amplify(filter_W[None])[0]:
            filter_W = rows[0]
    share = SHARE if choice.cells and choice.regressions else float(bool(choice.regressions))
    theta = [smoothing.error_weights(error_EPP[number], ridge) for number, (_, ridge) in enumerate(choice.cells)]
    return MemberWeights(
        sizes=sizes,
        filter_M=filter_W[-2::-1].copy(),
        mean_weight=float(filter_W[-1]),
        filter_share=share,
        rate_E5=np.array([rate_5 for rate_5, _ in choice.cells]).reshape(-1, 5),
        theta_EP=np.array(theta).reshape(sizes.cells, sizes.errors),
        share_E=np.full(sizes.cells, (1 - share) / max(1, sizes.cells)),
        weight=choice.weight,
    )


def _in_units(series: Iterable[Floats], logarithm: bool, season: int) -> Iterable[tuple[Floats, float]]:
    """Yield what members see of each series, and its mean absolute change over a season."""
    for x_N in series:
        if logarithm and not has_logarithms(x_N):
            continue
        scale = float(np.ptp(x_N)) / 2
        if scale > 0:
            u_N = np.log(x_N / scale) if logarithm else (x_N - x_N.min()) / scale - 1
            yield u_N, max(naive_scale(u_N, season), 1e-9)
