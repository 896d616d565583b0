"""Requests that uvicorn and its parser accept although HTTP forbids them.

Two servers that read the same bytes differently can disagree on where a request ends, or whose request it is. An
attacker can exploit that (request smuggling). So the server behind a proxy must not be lenient.
"""

import re
from collections.abc import Callable, Sequence

_is_host = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*").fullmatch
"""Match the characters of a host and port in a URL. An empty host is allowed (RFC 9110, 7.2)."""


def violation(
    headers: Sequence[tuple[bytes, bytes]], version: Callable[[], str], upgrade: bool, answering: bool
) -> str:
    """Say what is wrong with the head of a request. The result is empty if nothing is.

    Args:
        headers: name, in lower case, and value of each header field.
        version: returns the HTTP version, such as `1.1`. It is called if there is no header Host.
        upgrade: whether the connection becomes a WebSocket, or a tunnel (CONNECT), if the request is granted. An
            Upgrade to another protocol is ignored.
        answering: whether an earlier request of the connection is still being answered.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 and (hosts or version() != "1.0"):
        return "A request has one header Host."
    if hosts and not _is_host(hosts[0]):
        return "The header Host is a name or an address, and a port."
    if upgrade:
        if answering:
            return "A connection changes its protocol when it has no answers to wait for."
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in headers):
            return "A request for a WebSocket or a tunnel has no body."
    return ""
