"""The anchors: thirteen simple forecasts of the next value, which an anchored network mixes.

Each anchor is a recurrence. It sees a value z_t, changes its state, and forecasts the next value z_(t+1). Everything
here depends on the values z_0 … z_t and on the season s alone, so a sequence can be given in parts of any length. The
season is the number of values after which a sequence repeats itself, 1 for none. The values are in units of their
sequence (`model/units.py`), and so are all limits below. n = t + 1 is the number of values so far.

The level is the mean of the last season, L_t = mean(z_t … z_(t+1-s)), or of all values while there are fewer. A value
before the first one is z_0, unless a line says otherwise; so is a level L_(t-s) while n ≤ s.

    last value                        z_t
    season                            z_(t+1-s)
    second season                     z_(t+1-2s), or z_(t+1-s) while n < 2s
    season and change of level        z_(t+1-s) + L_t - L_(t-s)
    last value and seasonal change    z_t + z_(t+1-s) - z_(t-s)
    level                             L_t
    mean of both seasons              ½ (z_(t+1-s) + z_(t+1-2s)) + L_t - L_(t-s)
    season times growth               z_(t+1-s) L_t / L_(t-s) in the caller's units, the ratio within ½ to 2
    autoregression                    z_t + wᵀx_t, the sum within ±4
    four smoothing cells              l + phi b + S_(t+1)

**Growth** is used only where all values so far are positive in the caller's units; elsewhere that anchor is the fourth
one. With the offset o = level / scale, the caller's values are proportional to z + o, and the anchor is

    z_(t+1-s) + (z_(t+1-s) + o) (L_t - L_(t-s)) / (L_(t-s) + o)

All other anchors are equivariant to level and scale: f(a x + c) = a f(x) + c. Growth is equivariant to scale alone.

**The autoregression** has the inputs x_t = [z_(t+1-k) - z_t for each lag k; 0.1]. It begins once n reaches the longest
lag, and is the fourth anchor until then. Its weights follow from recursive least squares with the forgetting factor
λ = 0.998 (Haykin, *Adaptive Filter Theory*). After each value, with e = z_t - z_(t-1) - wᵀx and x = x_(t-1),

    g = P x / (λ + xᵀP x)        w ← w + g e        P ← (P - g xᵀP) / λ        P = I / 0.01 at first

w begins at zero, but at ½ for the lag s, where s > 1. In a direction that no input has, P would grow by 1 / λ a value
without end. λ is therefore 1 while the trace of P exceeds its first one. A ridge of 0.01 continues clean sines within
0.001 after 64 values, and costs little where there is noise.

**The smoothing cells** are Holt's and Winters' method with a damped trend, in the form of error correction (Hyndman,
Koehler, Ord and Snyder, *Forecasting with Exponential Smoothing*, 2008):

    e = z_t - (l + phi b + S_t)      l ← l + phi b + alpha e      b ← phi b + beta e      S_t ← S_t + gamma e

They begin when the first season has been seen: l = L, S = z - L for each of its values, b = 0. Until then their
forecast is the last value. S stays zero where s = 1.

**The later forecasts** are those of z_(t+k), half a season ahead: k = ⌊s/2⌋, or 6 where s < 4. Those of growth are the
fourth anchor's, and the autoregression's is its next value. Where a season ago is after z_t, z_t takes its place.

**The running errors** m and m' of each anchor are means of |z - forecast| of the next value and of the k-th. The i-th
error enters with the weight 1 / min(i, 60), and the first one counts after a whole season has been seen. Until then m
is the last error, and m' is 0. (Weights of forecasts from their past errors: Bates and Granger, "The combination of
forecasts", *Operational Research Quarterly* 20(4), 1969.)

**The inputs of the network** after each value, with A_k the anchors, m̄ their mean error and ε = 0.001:

    A_k(t) - z_t     z_t - A_k(t-1)     log (m_k + ε) / (m̄ + ε)     log (m'_k + ε) / (m̄' + ε)
    ⅓ log s     ⅓ log (1 + values given) / s     1 in the closed loop, else 0     ⅓ log (1 + forecasts fed back)

The first two are within ±6; the second is 0 for the first value.

**The closed loop** gives each forecast to everything here as a value; only m, m', w and P keep what the values given
have taught them. If values are given after that, the forecasts before them count as given values.

`reference.py` has these equations for one sequence, `batched.py` for a batch, and `state.py` the layout of the state.
This package itself does not import torch.
"""

from typing import Any

ANCHORS = (
    "last value",
    "season",
    "second season",
    "season and change of level",
    "last value and seasonal change",
    "level",
    "mean of both seasons",
    "season times growth",
    "autoregression",
    "slow smoothing",
    "medium smoothing",
    "fast smoothing",
    "seasonal smoothing",
)
"""The names of the anchors, in the order of the equations."""

INPUTS = 4 * len(ANCHORS) + 4
"""Number of inputs of an anchored network."""

RIDGE = 0.01
FORGETTING = 0.998
SEASONAL_WEIGHT = 0.5  # of the lag s, at first
CONSTANT_INPUT = 0.1
LARGEST_STEP = 4.0  # of the autoregression from the last value

GROWTH = (0.5, 2.0)  # least and largest ratio of two levels
ERROR_WINDOW = 60.0  # number of values that a running error remembers

LARGEST_INPUT = 6.0
SMALLEST_ERROR = 1e-3  # ε
LOG_SCALE = 3.0  # what divides the logarithms of season and counters


def smoothing_rates() -> list[list[float]]:
    """Return alpha, beta, phi and gamma of each smoothing cell, in the order of the anchors.

    It is a function because TorchScript knows no global lists.
    """
    return [
        [0.10, 0.005, 0.98, 0.090],
        [0.30, 0.030, 0.95, 0.140],
        [0.70, 0.050, 0.90, 0.060],
        [0.05, 0.000, 0.00, 0.285],
    ]


def lags(season: int) -> list[int]:
    """Return the lags of the autoregression, ascending."""
    chosen = [2, 3, 4, 5, 6]
    for lag in [7, 8] if season == 1 else [season - 1, season, season + 1, 2 * season]:
        if lag > chosen[-1]:
            chosen.append(lag)
    return chosen


def remembered(season: int) -> int:
    """Return how many last values the anchors need."""
    return max(2 * season, lags(season)[-1])


def first_later_error(season: int) -> int:
    """Return the index of the first anchor's m' in the state of a sequence (`model/anchors/state.py`)."""
    return remembered(season) + 2 * len(ANCHORS)


def later_error(state_K: Any, season: int) -> float:
    """Return the least m' of all anchors, from the state of a sequence."""
    first = first_later_error(season)
    return float(state_K[first : first + len(ANCHORS)].min())


def steps_ahead(season: int) -> int:
    """Return how many steps the later forecasts are ahead, k."""
    return season // 2 if season >= 4 else 6
