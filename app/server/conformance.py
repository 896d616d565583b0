"""What uvicorn and its parser let through, and HTTP does not, is refused with 400, or left out.

Two servers that read the same bytes differently can be made to disagree on where a request ends, or on whose it is. So
whoever is second must not be lenient: a head has one host, what stands behind a chunked body is not a header, and a
connection is not used again once its framing is in doubt.
"""

import re

from app.errors import Malformed
from app.server.timeouts import PatientProtocol

_is_host = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*").fullmatch
"""Letters of a host and port in a URL; that there is none of them is allowed (RFC 9110, 7.2)."""


class StrictProtocol(PatientProtocol):
    """Refuses, and never answers a request in the middle of another answer."""

    _problem = Malformed("This is not an HTTP request, or could be read in two ways (RFC 9112).")

    def on_headers_complete(self) -> None:
        """See `HttpToolsProtocol`. What is raised here ends the parsing: `send_400_response`."""
        why = self.violation()
        if why:
            self._problem = Malformed(why)
            raise self._problem
        super().on_headers_complete()
        if self.parser.should_upgrade() and not self._should_upgrade():
            self.cycle.keep_alive = False  # the parser does not read on

    def on_chunk_header(self) -> None:
        """Leave out what may come behind the last chunk: it would be taken for what stood in the head, without end."""
        self.headers = _NOWHERE

    def send_400_response(self, msg: str) -> None:
        """See `HttpToolsProtocol`, which writes it into an answer that has begun, too."""
        self._refuse(self._problem)

    def violation(self) -> str:
        """What is wrong with the head that has been read; empty where nothing is."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 and (hosts or self.parser.get_http_version() != "1.0"):
            return "A request has one header Host."
        if hosts and not _is_host(hosts[0]):
            return "The header Host is a name or an address, and a port."
        if self.parser.should_upgrade():
            if not self.has_answered():
                return "A connection is upgraded when it has no answers to wait for."
            if any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers):
                return "A request that asks for another protocol, by the header Upgrade, has no body."
        return ""


class _Nowhere(list[tuple[bytes, bytes]]):
    """Where headers go that nobody shall see."""

    def append(self, header: tuple[bytes, bytes], /) -> None:
        """Do not."""


_NOWHERE = _Nowhere()
