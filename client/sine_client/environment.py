"""Reads the environment variables for proxies and certificates, for the address of one service.

httpx would read them for all addresses at once. So a variable that does not concern the service would stop the client,
and the error would not name the variable.
"""

import os
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

import httpx

from sine_client.address import parse

_SCHEMES = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True)
class Route:
    """The way to a service."""

    proxy: httpx.Proxy | None
    certificates: ssl.SSLContext
    note: str
    """The variables that shaped the route, for errors on it; empty without any."""


def route(address: str) -> Route:
    """Return the way to the service at `address`. Raises ValueError, which names the variable that cannot be used."""
    url = httpx.URL(address)
    proxy, note = _proxy(url)
    if "https" not in (url.scheme, proxy.url.scheme if proxy else ""):
        return Route(proxy, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), note)  # reading certificates takes 30 ms
    certificates, of_certificates = _certificates()
    if proxy and proxy.url.scheme == "https":
        proxy.ssl_context = certificates
    return Route(proxy, certificates, note + of_certificates)


def _proxy(url: httpx.URL) -> tuple[httpx.Proxy | None, str]:
    """Return the proxy for `url`. As in Go and in browsers, the way to this machine itself never has one."""
    proxies = getproxies()
    kind = url.scheme if proxies.get(url.scheme) else "all"
    address = proxies.get(kind)
    forms = (
        url.host,
        f"[{url.host}]",
        f"{url.netloc.decode()}",
    )  # NO_PROXY has IPv6 addresses with and without brackets
    if not address or _is_this_machine(url.host) or any(map(proxy_bypass, forms)):
        return None, ""
    names = (f"{kind}_proxy", f"{kind}_PROXY".upper())
    variable = next((name for name in names if os.environ.get(name)), f"The system's {kind} proxy")
    where = parse(address, _SCHEMES, variable)
    if where.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ValueError(
            f"{variable} names a SOCKS proxy, for which the package socksio is missing: pip install 'httpx[socks]', or "
            "name the service's host in NO_PROXY"
        )
    return httpx.Proxy(where), f" (through the proxy of {variable})"


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _certificates() -> tuple[ssl.SSLContext, str]:
    """Return the certificates to trust: those of a variable, or those of the package certifi."""
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    variable = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
    if not file and folders and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        raise ValueError("SSL_CERT_DIR names no folder")
    try:
        if not file and not folders:
            return httpx.create_ssl_context(trust_env=False), ""
        context = ssl.create_default_context(cafile=file or None, capath=None if file else folders)
    except OSError as error:
        if error.filename is not None:  # only this variable's file has its name in the error
            raise ValueError(f"SSLKEYLOGFILE names a file that cannot be written: {error.strerror}") from None
        reason = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ValueError(f"{variable} names a file of certificates that cannot be read: {reason}") from None
    return context, f" (with the certificates of {variable})"
