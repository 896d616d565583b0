"""The start of the service: its listening socket, the address to open, and the error of a start that fails."""

import errno
import socket
from ipaddress import ip_address
from typing import Self

_HINTS = {
    errno.EADDRINUSE: "another program uses this port: stop it, or choose another port with SINE_PORT",
    errno.EACCES: "ports below 1024 need a privilege: choose a higher one with SINE_PORT",
}
"""Hints for a person whose socket cannot be bound, by the system's error. Any other error is a wrong host."""

_WRONG_HOST = "SINE_HOST has to be an address or a name of this machine, or 0.0.0.0 or :: for all its addresses"


class CannotStart(Exception):
    """The service cannot start. The message is one line: it says why, and what is allowed."""

    @classmethod
    def because(cls, error: Exception, name: str = "") -> Self:
        """Return the error for another one: `name`, the first line of its message, and its notes in brackets.

        Libraries add a trace to their messages, in further lines.
        """
        first, *notes = (text.strip().partition("\n")[0] for text in (str(error), *getattr(error, "__notes__", ())))
        return cls(name + first + "".join(f" ({note})" for note in notes))


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the address, for workers to listen on. A name means its IPv4 address first.

    Raises:
        CannotStart: the address cannot be used.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:  # UnicodeError: the text cannot be a host's name
        raise cannot_listen(host, port, error) from error
    listener.set_inheritable(True)
    return listener


def cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> CannotStart:
    """Return the error that names host and port, the system's reason, and what can be done about it."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    why = (isinstance(error, OSError) and error.strerror) or "the host is not a name"
    hint = _HINTS.get(error.errno or 0, _WRONG_HOST) if isinstance(error, OSError) else _WRONG_HOST
    return CannotStart(f"cannot listen on {where}: {why}: {hint}")


def address_to_open(listener: socket.socket) -> str:
    """Return the URL at which a person on this machine opens the service.

    A socket that listens on all addresses is opened by the address of this machine that it surely has.
    """
    host, port = listener.getsockname()[:2]
    if ip_address(host.partition("%")[0]).is_unspecified:
        is_ipv6_alone = listener.family == socket.AF_INET6 and listener.getsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
        )
        host = "::1" if is_ipv6_alone else "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
