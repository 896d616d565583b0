"""Baseline forecasts that need no network. A model's error is only meaningful beside a baseline's error.

Each baseline is a `Predictor`: a function from sequences [B, T] and a number of steps S to the next values [B, S].

Shape suffixes: B batch, T time, S steps, P lags of an autoregression.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from model.season import find_season
from training.data import Floats, Source
from training.series import Series

Predictor = Callable[[Tensor, int], Tensor]
"""A predictor maps sequences [B, T] and a number of steps S to the next values [B, S], both in double precision."""

GRID = 8  # frequencies in the grid for each value of a sequence: a peak of the fit is as wide as ten of them
NEWTON_STEPS = 12


def baselines(source: Source, context: int, season: int | None = None) -> dict[str, Predictor]:
    """Return the baselines by name, for sequences of `context` values.

    On waves, each baseline is fitted to the sequence that it is given. On series, AR(2) and the season are fitted once,
    to everything before the held-out part, the season to its longest part. A season longer than the context is left
    out: a forecaster that sees only the context could not repeat it.
    """
    fitted: dict[str, Predictor] = {"one_sine": one_sine, "ar2": ar2}
    if isinstance(source, Series):
        season = season or find_season(max(source.known_parts, key=len))
        fitted = {"ar2": autoregression(*fit_autoregression(source.known_parts, 2))}
    naive = {"seasonal_naive": seasonal_naive(season)} if season is None or season <= context else {}
    return {"last_value": last_value} | naive | fitted


def last_value(x_BT: Tensor, steps: int) -> Tensor:
    """Repeat the last value: the persistence forecast."""
    return x_BT[:, -1:].expand(-1, steps)


def seasonal_naive(season: int | None = None) -> Predictor:
    """Return the seasonal naive forecast, which repeats the last `season` values.

    Each sequence repeats the values since its `best_lag` if no season is given.
    """

    def predict(x_BT: Tensor, steps: int) -> Tensor:
        season_B = best_lag(x_BT) if season is None else torch.full((len(x_BT),), season)
        ahead_BS = torch.arange(steps) % season_B[:, None]
        return x_BT.gather(1, x_BT.size(1) - season_B[:, None] + ahead_BS)

    return predict


def ar2(x_BT: Tensor, steps: int) -> Tensor:
    """Forecast x_t = a x_(t-1) + b x_(t-2) + c, with a, b and c fitted to each sequence by least squares.

    The forecast is exact up to rounding on a clean sine of frequency ω around a level, where a = 2 cos ω and b = -1. No
    network can beat it there, so it shows how far a learned model is from the mathematical limit. It needs at least 5
    values. The fit is the same in any unit.
    """
    x_BT, mean_B1, exponent_B1 = _centred(x_BT)
    lagged_BT3 = torch.stack([x_BT[:, 1:-1], x_BT[:, :-2], torch.ones_like(x_BT[:, 2:])], dim=-1)
    a_B, b_B, c_B = torch.linalg.lstsq(lagged_BT3, x_BT[:, 2:, None]).solution.squeeze(-1).unbind(1)
    before_B, last_B = x_BT[:, -2], x_BT[:, -1]
    values = []
    for _ in range(steps):
        before_B, last_B = last_B, a_B * last_B + b_B * before_B + c_B
        values.append(last_B)
    return torch.ldexp(torch.stack(values, dim=1), exponent_B1) + mean_B1


def one_sine(x_BT: Tensor, steps: int) -> Tensor:
    """Continue the sine that fits each sequence best: `fit_sine`."""
    omega_B, fit_B3 = fit_sine(x_BT)
    return sine_after(omega_B, fit_B3, x_BT.size(1), torch.arange(steps).expand(len(x_BT), -1))


def fit_sine(x_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Return ω [B] and the coefficients a, b and c [B, 3] of the wave a cos ωt + b sin ωt + c nearest to each sequence.

    Time t is counted from the middle of the sequence. All four are fitted by least squares: first the best ω of a
    grid, then Gauss-Newton steps. In white noise this is the maximum likelihood estimate. With little noise, no
    unbiased estimate has less variance (Rife and Boorstyn, IEEE Trans. Inf. Theory 20(5), 1974).
    """
    x_BT, mean_B1, exponent_B1 = _centred(x_BT)
    length = x_BT.size(1)
    time_T = _from_the_middle(torch.arange(length), length)
    omega_G = torch.linspace(0, math.pi, GRID * length + 2, dtype=x_BT.dtype)[1:-1]
    angle_GT = omega_G[:, None] * time_T
    # Around the middle, cosine and sine are orthogonal, and so are the sine and a constant. Less its own mean, the
    # cosine is orthogonal to the constant too. The power that a fit explains is then the sum of their powers.
    cosine_GT = torch.cos(angle_GT)
    explained_BG = torch.zeros(len(x_BT), len(omega_G), dtype=x_BT.dtype)
    for wave_GT in (cosine_GT - cosine_GT.mean(dim=1, keepdim=True), torch.sin(angle_GT)):
        explained_BG += (x_BT @ wave_GT.T) ** 2 / wave_GT.square().sum(dim=1)
    omega_B = omega_G[explained_BG.argmax(dim=1)]
    for _ in range(NEWTON_STEPS):
        angle_BT = omega_B[:, None] * time_T
        wave_BT3 = torch.stack([torch.cos(angle_BT), torch.sin(angle_BT), torch.ones_like(angle_BT)], dim=-1)
        fit_B3 = torch.linalg.lstsq(wave_BT3, x_BT[:, :, None]).solution.squeeze(-1)
        error_BT = x_BT - (wave_BT3 @ fit_B3[:, :, None]).squeeze(-1)
        by_omega_BT = time_T * (fit_B3[:, 1:2] * wave_BT3[:, :, 0] - fit_B3[:, :1] * wave_BT3[:, :, 1])
        by_all_BT4 = torch.cat([wave_BT3, by_omega_BT[:, :, None]], dim=-1)
        change_B4 = torch.linalg.lstsq(by_all_BT4, error_BT[:, :, None]).solution.squeeze(-1)
        omega_B = (omega_B + change_B4[:, 3]).clamp(omega_G[0], omega_G[-1])
    fit_B3 = torch.ldexp(fit_B3, exponent_B1)
    return omega_B, torch.cat([fit_B3[:, :2], fit_B3[:, 2:] + mean_B1], dim=1)


def sine_after(omega_B: Tensor, fit_B3: Tensor, length: int, step_BS: Tensor) -> Tensor:
    """Return values [B, S] of the waves of `fit_sine` after sequences of `length` values. Steps are counted from 0."""
    angle_BS = omega_B[:, None] * _from_the_middle(length + step_BS, length)
    return fit_B3[:, :1] * torch.cos(angle_BS) + fit_B3[:, 1:2] * torch.sin(angle_BS) + fit_B3[:, 2:]


def _from_the_middle(index: Tensor, length: int) -> Tensor:
    """Return times counted from the middle, where the estimates of frequency and phase are uncorrelated."""
    return index.double() - (length - 1) / 2


def fit_autoregression(parts: Sequence[Floats], order: int) -> tuple[float, Floats, float]:
    """Return c, a [P] and m of z_t = c + a_1 z_(t-1) + … + a_P z_(t-P), fitted to all parts by least squares.

    z is x - m, and m is the mean of all parts. The fit is made in units of the standard deviation. Both keep the
    digits of small changes beside a large level, and the fit is the same in any unit.
    """
    every_N = np.concatenate(list(parts))
    level, scale = float(every_N.mean()), float(np.std(every_N)) or 1.0
    long = [(part_T - level) / scale for part_T in parts if len(part_T) > order]
    window_BT = np.concatenate([np.lib.stride_tricks.sliding_window_view(part_T, order + 1) for part_T in long])
    lagged_BP = np.column_stack([np.ones(len(window_BT)), window_BT[:, -2::-1]])
    fit_P, *_ = np.linalg.lstsq(lagged_BP, window_BT[:, -1])
    return float(fit_P[0]) * scale, fit_P[1:].astype(np.float64), level


def autoregression(constant: float, lag_P: Floats, level: float = 0.0) -> Predictor:
    """Return a forecast by z_t = constant + a_1 z_(t-1) + … from the last P values, where z is x - `level`."""
    weight_P = torch.from_numpy(np.ascontiguousarray(lag_P[::-1]))  # the oldest value first, as in a sequence

    def predict(x_BT: Tensor, steps: int) -> Tensor:
        recent_BP = x_BT[:, -len(weight_P) :] - level
        values = []
        for _ in range(steps):
            values.append(constant + recent_BP @ weight_P)
            recent_BP = torch.cat([recent_BP[:, 1:], values[-1][:, None]], dim=1)
        return torch.stack(values, dim=1) + level

    return predict


def _centred(x_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (x - mean) · 2^-e [B, T], whose largest magnitude is 0.5 to 1, the mean [B, 1] and e [B, 1].

    A power of two changes no digit of a value. Without it, powers of the values overflow or vanish in some units.
    """
    mean_B1 = x_BT.mean(dim=1, keepdim=True)
    exponent_B1 = torch.frexp((x_BT - mean_B1).abs().amax(dim=1, keepdim=True)).exponent
    return torch.ldexp(x_BT - mean_B1, -exponent_B1), mean_B1, exponent_B1


def best_lag(x_BT: Tensor) -> Tensor:
    """Return the lag [B] at which each sequence is most like itself, or 1 if there is no such lag.

    It is the highest peak of the autocorrelation. Only peaks count, because neighbouring values are alike in any smooth
    sequence. Each lag's sum of products is divided by the sums of squares of the values that it pairs. So few pairs
    weigh no less than many. A wave has several such lags. The best one need not be its period, which `find_season`
    looks for, because a period need not be a whole number of steps.
    """
    x_BT, _, _ = _centred(x_BT)
    length = x_BT.size(1)
    longest = length - 2
    if longest < 3:
        return torch.ones(len(x_BT), dtype=torch.long)
    spectrum_BF = torch.fft.rfft(x_BT, 2 * length)  # zero padding keeps the end from wrapping around to the start
    product_BL = torch.fft.irfft(spectrum_BF.abs().square(), 2 * length)[:, :length]
    energy_BT = torch.nn.functional.pad(x_BT.square().cumsum(dim=1), (1, 0))  # of the first 0, 1, 2, … values
    lag_L = torch.arange(length)
    early_BL, late_BL = energy_BT[:, length - lag_L], energy_BT[:, -1:] - energy_BT[:, lag_L]
    alike_BL = product_BL / (early_BL * late_BL).sqrt().clamp_min(1e-300)
    peak_BL = (alike_BL[:, 1:-1] > alike_BL[:, :-2]) & (alike_BL[:, 1:-1] >= alike_BL[:, 2:])
    highest_B, index_B = torch.where(peak_BL, alike_BL[:, 1:-1], 0.0).max(dim=1)
    return torch.where(highest_B > 0, index_B + 1, 1)
