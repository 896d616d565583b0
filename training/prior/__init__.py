"""The synthetic prior: series to train on that behave as real series do, and none of which is real.

draws.py          random parameters
recursions.py     the recursions that Numba compiles
components.py     trends, level shifts, cycles and noise
seasons.py        profiles of a season, days and weeks
kinds.py          kinds of series: sums of components, smoothing, autoregression, waves, prices
positive.py       kinds of series that are never negative: growth, counts, demand, shares, daylight
effects.py        what happens to any series: outliers, floors, rounding, a level
catalogue.py      the shares of all kinds, and `batch`
curriculum.py     seasons, lengths of context and horizons for training
source.py         batches of tasks, and windows of one season
"""
