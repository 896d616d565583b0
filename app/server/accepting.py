"""Accepting connections: some in each turn of the event loop, and evenly among the workers.

All workers accept from one socket, and a burst of connections wakes all of them. A worker that is already awake would
take the whole burst before another one has come. That other worker would stay idle for as long as the connections last.
Therefore a worker that has more connections than another lets it come first: it accepts nothing for a moment.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

log = logging.getLogger(__name__)

_A_TURN = 16
"""A worker accepts so many connections in a turn of its event loop: about a millisecond of work. With one a turn, a
client would wait for seconds behind a hundred others where turns take long."""

_GIVE_WAY_S, _SCARCE_S = 1e-3, 0.1
"""Pauses after a connection too many, and after one that there was no file descriptor or memory for."""

_SURPLUS = 1 / 16
"""The part of its connections that a worker may have more than another."""

Connect = Callable[[socket.socket], Coroutine[Any, Any, object]]
"""Makes a connection of an accepted socket."""


def has_surplus(connections: int, of_others: Sequence[float]) -> bool:
    """Return whether a worker has more connections than the one with the fewest, by more than a tolerable part."""
    return connections > min(of_others, default=connections) + _SURPLUS * connections


class Acceptor:
    """Accepts the connections of one worker, in the running event loop. It takes the place of an `asyncio.Server`."""

    def __init__(
        self, listener: socket.socket, connect: Connect, gives_way: Callable[[int], bool], backlog: int
    ) -> None:
        """Listen, and accept from now on.

        Args:
            listener: a bound socket.
            connect: makes a connection of an accepted socket.
            gives_way: says whether another worker comes first, given the number of connections that have been accepted
                and are not made yet.
            backlog: the number of connections that the system keeps until they are accepted.

        Raises:
            OSError: another program listens at the address.
        """
        self._listener, self._connect, self._gives_way = listener, connect, gives_way
        self._connecting: set[asyncio.Task[object]] = set()
        self._loop = asyncio.get_running_loop()
        self._pausing: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        listener.listen(backlog)
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Accept no more, unless by `accept_all`."""
        if self._pausing is not None:
            self._pausing.cancel()
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Return at once: nothing is left to wait for after `close`."""

    async def accept_all(self) -> None:
        """Accept all connections that wait, and make them."""
        while self._accept_one():
            pass
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _accept(self) -> None:
        for _ in range(_A_TURN):
            if not self._accept_one():
                return
            if self._gives_way(len(self._connecting)):
                return self._pause(_GIVE_WAY_S)

    def _accept_one(self) -> bool:
        """Accept a connection. Return False if none can be had now."""
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:  # its client has left, and others may wait behind it
            return True
        except OSError as error:
            log.error("A connection cannot be accepted: %s", error.strerror)
            self._pause(_SCARCE_S)
            return False
        connection.setblocking(False)
        task = self._loop.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return True

    def _pause(self, seconds: float) -> None:
        self.close()
        self._pausing = self._loop.call_later(seconds, self._loop.add_reader, self._listener, self._accept)
