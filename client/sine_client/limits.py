"""The limits of a request that are the same everywhere."""

LARGEST_VALUE = 1e15
"""The largest magnitude of a value, in the caller's unit. Double precision has whole numbers up to 9e15."""

LEVELS = 99
"""Levels of intervals are whole numbers of per cent, from 1 to this."""

LONGEST_SEASON = 366
"""The largest number of values after which a sequence may repeat."""
