"""The parts that the connections of a worker share. `app/main.py` makes them; the protocols of this room use them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.server.inline import InlineResponder
from app.server.shedding import LoadShedder


@dataclass(frozen=True)
class Edge:
    """The parts that all connections of a worker share: the entry `edge` in the state of the lifespan."""

    shedder: LoadShedder
    inline: InlineResponder
    publish_connections: Callable[[int], object]
    """Tells the other workers how many connections this one has."""

    connections_of_others: Callable[[], Sequence[float]]
    """Returns the number of connections of each other worker."""

    record_shed: Callable[[str], object]
    """Takes the path of each request that was shed."""

    receive_timeout_s: float
    """Seconds that a client has to send a request as a whole, or to take something of an answer."""
