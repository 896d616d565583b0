"""Bulk forecasts: a file or a folder of series in, forecasts out. `python -m app.bulk` is the command."""
