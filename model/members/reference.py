"""The members of one sequence in double precision, written from the equations. Every runtime is tested against it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.members import FEWEST, LARGEST, LARGEST_EXPONENT, MOST_SEASONS
from model.metadata import MemberSizes

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MemberWeights:
    """The numbers that were fitted. E is the number of smoothing cells, and P that of the errors that each weighs."""

    sizes: MemberSizes
    filter_M: Floats
    """Weights w of the last M values, the newest last."""

    mean_weight: float
    """Weight w_0 of the mean of the values given."""

    filter_share: float
    """Share of the autoregression in the forecast of the members."""

    rate_E5: Floats
    """alpha, beta, phi, gamma and delta of each cell."""

    theta_EP: Floats
    """Weights of the last errors of each cell, the newest first."""

    share_E: Floats
    """Share of each cell in the forecast of the members. All shares sum to 1."""

    weight: float
    """Weight of the members in the forecast of the model, 0 to 1."""


class ReferenceMembers:
    """The members of one sequence. It keeps every value, so that it reads like the equations."""

    def __init__(self, weights: MemberWeights, offset: float = 0.0) -> None:
        """Begin a sequence. `offset` is its level divided by its scale, in the caller's units."""
        self.weights, self.offset = weights, offset
        self.u: list[float] = []
        self.mean, self.observed, self.positive = 0.0, 0, True
        self.cells: list[ReferenceCell] = []

    def observe(self, z: float) -> None:
        """Take a value given."""
        u = self._transformed(z)
        self.observed += 1
        self.mean += (u - self.mean) / self.observed
        self._take(u)

    def feed_back(self, z: float) -> None:
        """Take a forecast in the place of the next value."""
        self._take(self._transformed(z))

    def forecast(self) -> float | None:
        """Return the forecast of the next value; None while there is none."""
        weights = self.weights
        if len(self.u) < weights.sizes.values:
            return None
        if weights.sizes.logarithm and not self.positive:
            return None
        last_M = np.array(self.u[len(self.u) - weights.sizes.values :])
        u = weights.filter_share * float(weights.filter_M @ last_M + weights.mean_weight * self.mean)
        u += sum(share * cell.forecast() for share, cell in zip(weights.share_E, self.cells, strict=True))
        z = math.exp(min(u, LARGEST_EXPONENT)) - self.offset if weights.sizes.logarithm else u
        return min(max(z, -LARGEST), LARGEST)

    def mixed(self, beside: float) -> tuple[float, float]:
        """Return the forecast of the members and that of the model, from that of the anchored network."""
        own = self.forecast()
        if own is None:
            return beside, beside
        return own, self.weights.weight * own + (1 - self.weights.weight) * beside

    def _transformed(self, z: float) -> float:
        if not self.weights.sizes.logarithm:
            return z
        self.positive = self.positive and z + self.offset > 0
        return math.log(z + self.offset) if z + self.offset > 0 else 0.0

    def _take(self, u: float) -> None:
        self.u.append(u)
        if len(self.u) == self.weights.sizes.values:
            rows = zip(self.weights.rate_E5, self.weights.theta_EP, strict=True)
            self.cells = [ReferenceCell(self.weights.sizes, *row, np.array(self.u)) for row in rows]
        elif len(self.u) > self.weights.sizes.values:
            for cell in self.cells:
                cell.take(u)


class ReferenceCell:
    """A smoothing cell."""

    def __init__(self, sizes: MemberSizes, rate_5: Floats, theta_P: Floats, first_M: Floats) -> None:
        """Begin with the first M values of a sequence."""
        (self.alpha, self.beta, self.phi, self.gamma, self.delta), self.theta_P = rate_5, theta_P
        m = sizes.season if sizes.season > 1 else min(FEWEST, len(first_M))
        seasons = min(len(first_M) // m, MOST_SEASONS)
        block_Km = first_M[: seasons * m].reshape(seasons, m)
        self.l = float(block_Km[0].mean())
        self.b = float(block_Km[1].mean() - self.l) / m if seasons > 1 and self.beta > 0 else 0.0
        inner = first_M[: seasons * m // sizes.inner * sizes.inner].reshape(-1, sizes.inner)
        self.R = (inner - inner.mean(axis=1, keepdims=True)).mean(axis=0)
        outer = first_M[: seasons * m // sizes.season * sizes.season].reshape(-1, sizes.season)
        repeated = np.resize(self.R, outer.size).reshape(outer.shape)
        self.S = (outer - outer.mean(axis=1, keepdims=True) - repeated).mean(axis=0)
        self.t = 0
        self.errors = [0.0] * len(theta_P)
        for u in first_M:
            self.take(float(u))

    def take(self, u: float) -> None:
        r, s = self.t % len(self.R), self.t % len(self.S)
        e = u - self._smoothed()
        self.l, self.b = self.l + self.phi * self.b + self.alpha * e, self.phi * self.b + self.beta * e
        self.R[r] += self.gamma * e
        self.S[s] += self.delta * e
        self.errors = [e, *self.errors][: len(self.theta_P)]
        self.t += 1

    def forecast(self) -> float:
        return self._smoothed() + float(np.dot(self.theta_P, self.errors))

    def _smoothed(self) -> float:
        return float(self.l + self.phi * self.b + self.R[self.t % len(self.R)] + self.S[self.t % len(self.S)])
