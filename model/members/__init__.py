"""The members: an autoregression and smoothing cells that were fitted to series, for a forecast beside `any`'s.

All members are linear. They see u_t, which is the value z_t in units of its sequence (`model/units.py`). With
`logarithm`, it is log(z_t + o). The offset o = level / scale makes z + o proportional to the caller's value. ū is the
mean of all u given so far. M is the number of values that the members begin with.

    autoregression     w_1 u_t + … + w_M u_(t+1-M) + w_0 ū                  the sum of all w is 1
    smoothing cells    l + phi b + R_(t+1) + S_(t+1) + theta_1 e_t + … + theta_P e_(t+1-P)

The weights w sum to 1, so a change of level changes the forecast by the same amount. A cell is Holt's and Winters'
method with a damped trend and two seasons, and an autoregression of its errors (Hyndman, Koehler, Ord and Snyder,
*Forecasting with Exponential Smoothing*, 2008; Taylor, *J. Oper. Res. Soc.* 54(8), 2003, for two seasons):

    e_t = u_t - (l + phi b + R_t + S_t)
    l ← l + phi b + alpha e_t      b ← phi b + beta e_t      R_t ← R_t + gamma e_t      S_t ← S_t + delta e_t

R repeats after `inner` values and S after `season` values; 1 stands for none.

**The beginning.** Cells begin once M values are there. Let m be the season, or min(12, M) without one, and let K be
⌊M / m⌋, 3 at most. l is the mean of the first m values. b is the change to the mean of the next m values, divided by m;
it is 0 where K = 1 or beta = 0. R and S are means over the first K m values: R of u less the mean of its `inner`
values, S of what R leaves of u less the mean of its m values. Then the M values are taken in turn.

**The forecast of the members** is a mean with fixed shares, û = share_0 · autoregression + Σ share_j · cell_j. Back in
units of the sequence, it is kept within ±100. The members have a closed loop of their own: each û is given to all of
them as a value. ū does not change in it.

**The forecast of the model** is weight · members + (1 - weight) · anchored network. It is that of the anchored network
alone while there are fewer than M values, and, with `logarithm`, for a sequence that has a value of zero or less. The
members are then given what the anchored network forecasts.

`reference.py` has these equations for one sequence, `batched.py` for a batch in PyTorch, and `model/runtime/members.py`
as machine code. This module does not import torch.
"""

LARGEST = 100.0
"""Largest forecast of the members, in units of the sequence. It keeps a long rollout finite."""

LARGEST_EXPONENT = 50.0
FEWEST = 12
"""Number of values that the level of a cell without a season begins with."""

MOST_SEASONS = 3
"""Number of seasons that a cell begins with, at most."""

RATES = ("alpha", "beta", "phi", "gamma", "delta")
"""The rates of a smoothing cell, in the order of `rate_E5`."""
