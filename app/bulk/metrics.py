"""The metrics of a run, in a file for the textfile collector of Prometheus' node exporter.

A run is no service that Prometheus could ask. It writes the file anew after each part, aside, and renames it.
"""

import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from app.bulk.run import Standing


class RunMetrics:
    """The metrics of one run. They are gauges, because the next run begins anew."""

    def __init__(self, path: Path) -> None:
        """`path` is the file to write, whose name ends in `.prom`."""
        self._path, self._registry = path, CollectorRegistry()
        parts = self._gauge("parts", "Parts of the run: all of its share, and those that are done.", "state")
        self._parts, self._parts_done = parts.labels("all"), parts.labels("done")
        series = self._gauge("series", "Series that the run has come to, by what became of them.", "outcome")
        self._forecast, self._refused = series.labels("forecast"), series.labels("refused")
        self._misfits = self._gauge("misfits", "Series forecast that the model does not fit.")
        self._started = self._gauge("started_timestamp_seconds", "When the run began.")
        self._succeeded = self._gauge("succeeded_timestamp_seconds", "When the run ended well; 0 until then.")
        self._started.set(time.time())

    def show(self, standing: Standing) -> None:
        """Write the standing of the run. Raises OSError."""
        self._parts.set(standing.parts)
        self._parts_done.set(standing.parts_done)
        self._forecast.set(standing.series)
        self._refused.set(standing.refused)
        self._misfits.set(standing.misfits)
        self._write()

    def succeed(self) -> None:
        """Write that the run has ended well. Raises OSError."""
        self._succeeded.set(time.time())
        self._write()

    def _write(self) -> None:
        try:
            write_to_textfile(str(self._path), self._registry)
        except OSError as error:  # it names the file that is written aside
            raise type(error)(error.errno, error.strerror, str(self._path)) from None

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"sine_bulk_{name}", text, labels, registry=self._registry)
