"""The parts of `benchmarks/series.py`: real series, how forecasts of them are measured, and the forecasters."""
