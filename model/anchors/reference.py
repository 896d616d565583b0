"""The anchors of one sequence in double precision, written from the equations. `batched.py` is tested against it."""

import math

import numpy as np
import numpy.typing as npt

from model.anchors import (
    ANCHORS,
    CONSTANT_INPUT,
    ERROR_WINDOW,
    FORGETTING,
    GROWTH,
    LARGEST_INPUT,
    LARGEST_STEP,
    LOG_SCALE,
    RIDGE,
    SEASONAL_WEIGHT,
    SMALLEST_ERROR,
    lags,
    smoothing_rates,
    steps_ahead,
)

Floats = npt.NDArray[np.float64]


class ReferenceAnchors:
    """The anchors of one sequence. It keeps every value, so that it reads like the equations."""

    def __init__(self, season: int, offset: float = 0.0) -> None:
        """Begin a sequence. `offset` is its level divided by its scale, in the caller's units."""
        self.season, self.offset, self.lags, self.k = season, offset, lags(season), steps_ahead(season)
        self.z: list[float] = []
        self.observed = self.rolled_out = 0
        self.forecasts: list[Floats] = []
        """The forecasts of the next value after each value, [A]."""
        self.later: list[Floats] = []
        """The forecasts of the k-th value after each value, [A]."""
        self.error, self.later_error = np.zeros(len(ANCHORS)), np.zeros(len(ANCHORS))
        self.w = np.array([SEASONAL_WEIGHT if lag == season > 1 else 0.0 for lag in (*self.lags, 0)])
        self.P = np.eye(len(self.w)) / RIDGE
        self.cells = [SmoothingCell(season, *rates) for rates in smoothing_rates()]

    def observe(self, z: float) -> Floats:
        """Take a value given, and return the network's inputs [I] after it."""
        self.observed, self.rolled_out = self.observed + self.rolled_out + 1, 0
        t = len(self.z)
        self.z.append(z)
        if t > 0:
            self._average(t)
        if t >= self.lags[-1]:
            self._learn(t)
        return self._take(t)

    def feed_back(self, z: float) -> Floats:
        """Take a forecast in the place of the next value, and return the network's inputs [I] after it."""
        self.rolled_out += 1
        self.z.append(z)
        return self._take(len(self.z) - 1)

    def _take(self, t: int) -> Floats:
        z = self.z[t]
        for cell in self.cells:
            cell.take(self.z)
        missed = z - self.forecasts[-1] if t > 0 else np.zeros(len(ANCHORS))
        self.forecasts.append(self._forecasts(t))
        self.later.append(self._later(t))
        errors, later_errors = self.error + SMALLEST_ERROR, self.later_error + SMALLEST_ERROR
        counts = [
            math.log(self.season) / LOG_SCALE,
            math.log((1 + self.observed) / self.season) / LOG_SCALE,
            float(self.rolled_out > 0),
            math.log(1 + self.rolled_out) / LOG_SCALE,
        ]
        return np.concatenate(
            [
                np.clip(self.forecasts[-1] - z, -LARGEST_INPUT, LARGEST_INPUT),
                np.clip(missed, -LARGEST_INPUT, LARGEST_INPUT),
                np.log(errors / errors.mean()),
                np.log(later_errors / later_errors.mean()),
                counts,
            ]
        )

    def _value(self, t: int) -> float:
        return self.z[max(0, t)]

    def _level(self, t: int) -> float:
        return float(np.mean(self.z[max(0, t + 1 - self.season) : t + 1])) if t >= 0 else self.z[0]

    def _forecasts(self, t: int) -> Floats:
        s, z, season_ago = self.season, self.z[t], self._value(t + 1 - self.season)
        two_ago = self.z[t + 1 - 2 * s] if t + 1 >= 2 * s else season_ago
        level, before = self._level(t), self._level(t - s)
        moved = season_ago + level - before
        grown = moved
        if min(self.z) + self.offset > 0:
            ratio = float(np.clip((level + self.offset) / (before + self.offset), *GROWTH))
            grown = (season_ago + self.offset) * ratio - self.offset
        regressed = moved
        if t + 1 >= self.lags[-1]:
            regressed = z + float(np.clip(self.w @ self._x(t), -LARGEST_STEP, LARGEST_STEP))
        return np.array(
            [
                z,
                season_ago,
                two_ago,
                moved,
                z + season_ago - self._value(t - s),
                level,
                (season_ago + two_ago) / 2 + level - before,
                grown,
                regressed,
                *(cell.forecast(1) if t + 1 >= s else z for cell in self.cells),
            ]
        )

    def _later(self, t: int) -> Floats:
        s, k, z = self.season, self.k, self.z[t]
        season_ago = self.z[t + k - s] if 0 <= t + k - s <= t else z
        two_ago = self.z[t + k - 2 * s] if t + k - 2 * s >= 0 and k <= s else season_ago
        level = self._level(t)
        change = level - self._level(t - s)
        return np.array(
            [
                z,
                season_ago,
                two_ago,
                season_ago + change,
                season_ago + (z - self._value(t - s) if s > 1 else 0.0),
                level,
                (season_ago + two_ago) / 2 + change,
                season_ago + change,
                self.forecasts[t][ANCHORS.index("autoregression")],
                *(cell.forecast(k) if t + 1 >= s else z for cell in self.cells),
            ]
        )

    def _x(self, t: int) -> Floats:
        """Return the inputs of the autoregression, [P]."""
        return np.array([*(self.z[t + 1 - lag] - self.z[t] for lag in self.lags), CONSTANT_INPUT])

    def _learn(self, t: int) -> None:
        """Learn the weights of the autoregression from the value at t by recursive least squares."""
        x = self._x(t - 1)
        forgetting = 1.0 if np.trace(self.P) > len(x) / RIDGE else FORGETTING
        gain = self.P @ x / (forgetting + x @ self.P @ x)
        self.w = self.w + gain * (self.z[t] - self.z[t - 1] - self.w @ x)
        self.P = (self.P - np.outer(gain, x @ self.P)) / forgetting

    def _average(self, t: int) -> None:
        """Add the errors of the value at t to the running errors."""
        weight = 1 / min(max(1, t + 1 - self.season), ERROR_WINDOW)
        self.error = self.error + weight * (np.abs(self.z[t] - self.forecasts[t - 1]) - self.error)
        late = t + 1 - self.k - self.season
        if late > 0:
            missed = np.abs(self.z[t] - self.later[t - self.k])
            self.later_error = self.later_error + (missed - self.later_error) / min(late, ERROR_WINDOW)


class SmoothingCell:
    """One smoothing cell. Its season S has an entry for each place in the season."""

    def __init__(self, season: int, alpha: float, beta: float, phi: float, gamma: float) -> None:
        self.alpha, self.beta, self.phi, self.gamma = alpha, beta, phi, gamma if season > 1 else 0.0
        self.level = self.trend = 0.0
        self.S = [0.0] * season
        self.t = -1

    def take(self, z: list[float]) -> None:
        """Take the last of the values `z`."""
        s, self.t = len(self.S), len(z) - 1
        if self.t < s:
            if self.t == s - 1:
                self.level = sum(z) / s
                self.S = [value - self.level for value in z]
            return
        place = self.t % s
        error = z[-1] - (self.level + self.phi * self.trend + self.S[place])
        self.level += self.phi * self.trend + self.alpha * error
        self.trend = self.phi * self.trend + self.beta * error
        self.S[place] += self.gamma * error

    def forecast(self, steps: int) -> float:
        """Return the forecast of the value that is so many steps ahead."""
        damped = sum(self.phi**step for step in range(1, steps + 1))
        return self.level + damped * self.trend + self.S[(self.t + steps) % len(self.S)]
