"""Limits that training and serving share."""

LARGEST_VALUE = 1e15
"""The largest magnitude of a value, in the caller's unit. Double precision has whole numbers up to 9e15."""
