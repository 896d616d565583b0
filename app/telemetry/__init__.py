"""Metrics, logs and traces of the service. docs/operations.md explains how to read them."""
