"""The forecasting service: FastAPI over the runtimes of `model/`."""
