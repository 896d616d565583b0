"""How the clients reach a service: the options of httpx, and what an error on the way says."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from sine_client.address import service_url
from sine_client.environment import route

MOST_REQUESTS, MOST_STREAMS = 32, 100
"""A client has at most this many requests and streams under way. The others wait for their turn.

httpx itself would let them wait for a connection, at a cost that grows with the square of their number, and give up.
"""

_TIMEOUT = httpx.Timeout(60, pool=None)
"""A request fails if the service sends nothing for 60 s.

The service itself gives up sooner (SINE_TIMEOUT_S) and keeps a stream alive with a comment every 15 s.
"""

_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=MOST_STREAMS)

_REASONS: dict[type[httpx.TransportError], str] = {
    httpx.ConnectTimeout: "the service did not accept the connection in time",
    httpx.ReadTimeout: "the service sent nothing for too long",
    httpx.WriteTimeout: "the service did not take the request in time",
    httpx.PoolTimeout: "all connections of the httpx client were in use for too long",
}


def http_options(service: str) -> tuple[dict[str, Any], str]:
    """Return the arguments of an httpx client of this service, and a note on the way there for `explained`.

    Raises ValueError for an address, a proxy or certificates that cannot be used.
    """
    address = service_url(service, "the service's address")
    way = route(address)
    options = {"base_url": address, "timeout": _TIMEOUT, "limits": _LIMITS, "trust_env": False}
    return options | {"proxy": way.proxy, "verify": way.certificates}, way.note


@contextmanager
def explained(note: str) -> Iterator[None]:
    """Give each error of the network inside a message, where httpx has none, and add `note`."""
    try:
        yield
    except httpx.TransportError as error:
        error.args = ((str(error) or _REASONS.get(type(error), "the connection broke off")) + note,)
        raise
