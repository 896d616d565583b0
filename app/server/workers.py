"""The processes that serve. They all accept from one socket."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app.server.accepting import Acceptor, has_surplus
from app.server.edge import Edge
from app.server.startup import CannotStart, address_to_open, cannot_listen

log = logging.getLogger(__name__)

# Forks of a process that has imported everything: docs/decisions/forkserver.md. Apple's libraries are not fork-safe.
_forked = sys.platform == "linux"
_processes = multiprocessing.get_context("forkserver") if _forked else multiprocessing.get_context("spawn")
_processes.set_forkserver_preload(["app.main", "model.runtime.kernel"])


def announce(listener: socket.socket) -> None:
    """Log the address to open, as the last line of a start."""
    log.info("The service is ready and running on %s", address_to_open(listener))


class Server(uvicorn.Server):
    """Uvicorn's server on one bound socket, with an `Acceptor`.

    It accepts all pending connections before it closes the socket, because they would be reset.
    """

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, on_started: Callable[[], object] = lambda: None
    ) -> None:
        """`on_started` is called once connections are accepted."""
        super().__init__(config)
        self._listener, self._on_started = listener, on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and accept connections. There are no further `sockets`."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        edge: Edge | None = self.lifespan.state.get("edge")
        connections = self.server_state.connections

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        def gives_way(coming: int) -> bool:
            return edge is not None and has_surplus(len(connections) + coming, edge.connections_of_others())

        connect = partial(asyncio.get_running_loop().connect_accepted_socket, protocol)
        try:
            self._acceptor = Acceptor(self._listener, connect, gives_way, self.config.backlog)
        except OSError as error:  # another program has bound the same address, and listens first
            await self.lifespan.shutdown()
            raise cannot_listen(self.config.host, self.config.port, error) from error
        self.servers = [self._acceptor]  # type: ignore[list-item]
        self.started = True
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server.shutdown`."""
        await self._acceptor.accept_all()
        await super().shutdown([self._listener])


def serve(config: uvicorn.Config, listener: socket.socket, on_started: Callable[[], object]) -> None:
    """Load the models and serve in this process until a signal ends it. Raises CannotStart."""
    server = Server(config, listener, on_started)
    try:
        config.load()
    except CannotStart:
        raise
    except Exception as error:  # a fault of this program, or a lack of memory or of threads
        log.debug("The start failed", exc_info=True)
        raise CannotStart.because(error, f"{type(error).__name__}: ") from error
    server.run()


def _run(config: uvicorn.Config, listener: socket.socket, pings: Connection, news: Connection) -> None:
    """Serve in a process of its own, answer each ping, and tell the supervisor whether the start has succeeded."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    config.configure_logging()

    def answer_pings() -> None:
        with suppress(OSError, EOFError):  # the supervisor has died
            while True:
                pings.send(pings.recv())

    threading.Thread(target=answer_pings, daemon=True).start()
    try:
        with suppress(KeyboardInterrupt):  # Ctrl+C reaches all processes, and the supervisor ends this one
            serve(config, listener, partial(news.send, None))
    except CannotStart as error:
        with suppress(OSError):
            news.send(str(error))
        sys.exit(STARTUP_FAILURE)


class Worker:
    """A process that serves."""

    _STARTING_S = 60  # in which a worker need not answer pings: on a busy machine it takes a while until it can
    _HANGS_S = 10  # without an answer to a ping, after which a worker hangs

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        """Start the process. Raises OSError or EOFError if the system starts none."""
        self.has_started = False
        """True once the process has served. It may have ended since."""

        self.failure: str | None = None
        """The reason why the process could not start, as far as it has said one."""

        self._pings, pings = multiprocessing.Pipe()
        self._news, news = multiprocessing.Pipe(duplex=False)
        self._started_s = time.monotonic()
        self.process = _processes.Process(target=_run, args=(config, listener, pings, news))
        resource_tracker.ensure_running()  # forking needs it, and starting it unblocks signals
        # The forkserver must outlive a signal to the whole process group: it reports when the workers have ended.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            pings.close()
            news.close()

    def is_healthy(self) -> bool:
        """Return whether the process lives, and answers if it has had the time to start. Takes seconds if it hangs."""
        self._read_news()
        if not self.process.is_alive():
            return False
        return time.monotonic() - self._started_s < self._STARTING_S or self._answers()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal, if it lives."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End the process, if it has not ended, and wait for its end."""
        self.process.kill()
        self.process.join()
        self._read_news()
        self._pings.close()
        self._news.close()

    def _read_news(self) -> None:
        """Take the message that the process sends once: None if it serves, or else the reason why it cannot."""
        with suppress(OSError, EOFError):
            if not self.has_started and self._news.poll():
                self.failure = self._news.recv()
                self.has_started = self.failure is None

    def _answers(self) -> bool:
        with suppress(OSError, EOFError):
            self._pings.send(None)
            if self._pings.poll(self._HANGS_S):
                self._pings.recv()
                return True
        return False
