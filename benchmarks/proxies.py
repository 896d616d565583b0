"""Reverse proxies in front of one server, each with one thread, to measure what a proxy costs for a request.

Both keep their connections to the server, retry a request whose connection fails, and log nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit; {user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    upstream service {{ server 127.0.0.1:{server}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout non_idempotent;
        }}
    }}
}}
"""

_HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    retry-on conn-failure empty-response
    retries 1
    http-reuse always
frontend clients
    bind 127.0.0.1:{port} backlog 4096
    default_backend service
backend service
    server one 127.0.0.1:{server}
"""


@dataclass
class Proxy:
    """A running proxy."""

    url: str
    cpu_s: float = 0.0
    """Processor time of all its processes. It is known after the end."""


def installed() -> list[str]:
    """Return the names of the proxies that are on this machine."""
    return [name for name in ("nginx", "haproxy") if _program(name) is not None]


@contextmanager
def proxying(name: str, server: int, folder: Path) -> Iterator[Proxy]:
    """Run a proxy in front of the server on a port of this machine, with its files in `folder`.

    Raises OSError if the proxy does not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = {"nginx": _NGINX, "haproxy": _HAPROXY}[name]
    user = "user root;" if os.geteuid() == 0 else ""  # another user may not write in this folder
    (folder / name).write_text(text.format(folder=folder, server=server, port=port, user=user))
    options = {"nginx": ["-p", str(folder), "-e", "stderr", "-c"], "haproxy": ["-f"]}[name]
    process = subprocess.Popen([str(_program(name)), *options, str(folder / name)])  # noqa: S603
    proxy = Proxy(f"http://127.0.0.1:{port}")
    try:
        _wait(process, port)
        yield proxy
    finally:
        process.terminate()
        _, _, used = os.wait4(process.pid, 0)  # with its own children, which it has waited for
        process.returncode = 0
        proxy.cpu_s = used.ru_utime + used.ru_stime


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(500):
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise OSError(f"{process.args!r} does not listen")
