"""What a worker serves now: the one thing of a worker that changes while it runs."""

import logging

from app.engine.repository import Repository, ServedModel
from app.errors import NotReady
from app.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


class Serving:
    """The repository in service, and whether the worker is about to stop.

    A reload replaces the repository as a whole. A request, a stream or a connection keeps the model that it began with.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.draining = False
        """Whether the worker was told to stop. It still answers, but says that it is not ready."""

        self.current: Repository | None = None
        """The models in service; None before they are loaded, and after `stop`."""

        self._metrics = metrics

    def repository(self) -> Repository:
        """Return the models in service. Raises NotReady if there are none."""
        if self.current is None:
            raise NotReady
        return self.current

    def start(self, repository: Repository) -> None:
        """Begin to serve."""
        self._put(repository, before=[])
        self._metrics.ready.set(1)

    def replace(self, before: Repository, after: Repository) -> None:
        """Serve `after` in place of `before`, unless the service has stopped in the meantime."""
        if self.current is before:
            self._put(after, before=[*before])

    def drain(self) -> None:
        """Say from now on that the worker is not ready."""
        self.draining = True
        self._metrics.ready.set(0)

    def stop(self) -> None:
        """Serve nothing any more, and wait for the models' threads."""
        self.drain()
        repository, self.current = self.current, None
        for served in repository or ():
            served.forecaster.close()

    def _put(self, repository: Repository, before: list[ServedModel]) -> None:
        self.current = repository
        self._metrics.models.labels = [
            {name: getattr(served.info, name) for name in ("name", "version", "digest", "runtime", "device")}
            for served in repository
        ]
        for served in repository:
            if served not in before:
                info = served.info
                what = (info.name, info.version, info.digest[:12], info.runtime, info.device, info.runtime_reason)
                log.info("Serving %s %s (%s) with the %s runtime on %s: %s", *what)
        for served in before:
            if served not in repository:
                log.info("No longer serving %s %s (%s)", served.info.name, served.info.version, served.info.digest[:12])
