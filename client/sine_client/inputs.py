"""Reads the inputs of the command line: the address, the values and the state. Unusable ones raise ValueError."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TextIO

from sine_client.address import service_url
from sine_client.values import read_values


def address(url: str | None) -> str:
    """Return the address to ask: the option `--url`, SINE_URL, or that of a server with SINE_HOST and SINE_PORT."""
    if url is not None:
        return service_url(url, "--url")
    url = os.environ.get("SINE_URL", "").strip()
    if url:
        return service_url(url, "SINE_URL")
    host, port = (os.environ.get(name, "").strip() for name in ("SINE_HOST", "SINE_PORT"))
    host = "localhost" if _is_every_interface(host) else f"[{host}]" if ":" in host else host
    if port == "0":
        raise ValueError("SINE_PORT is 0, so the system chose the port of the service: --url gives its address")
    return service_url(f"http://{host}:{port or 8000}", "SINE_PORT" if port else "SINE_HOST")


def _is_every_interface(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return not host


def values(file: Path | None, needed: bool) -> list[float]:
    """Return the values in the file, or in standard input without one. A terminal is not asked if none are needed."""
    name = "input" if file is None else str(file)
    if file is None and not needed and (sys.stdin is None or sys.stdin.isatty()):
        return []
    with opened(file) as text:
        read = read_values(text, name)
    if needed and not read:
        raise ValueError(f"{name}: there are no values in it")
    return read


@contextmanager
def opened(file: Path | None) -> Iterator[TextIO]:
    """Open a file of text, or standard input without one."""
    if file is None and sys.stdin is None:
        raise ValueError("input is closed: give a file, or the values through a pipe")
    try:
        with open(sys.stdin.fileno() if file is None else file, encoding="utf-8-sig", errors="replace") as text:
            yield text
    except OSError as error:
        raise ValueError(f"{'input' if file is None else file}: {error.strerror}") from None


def state(file: Path | None) -> str | None:
    """Return the state in the file; None without a file."""
    if file is None:
        return None
    try:
        text = file.read_bytes().strip()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    if not re.fullmatch(rb"[!-~]+", text):
        raise ValueError(f"{file}: there is no state in this file; --save-state writes one")
    return text.decode()


def check_can_write(file: Path | None) -> None:
    """Raise ValueError if a state cannot be saved there, before the request is sent for it."""
    if file is not None and (file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK)):
        raise ValueError(f"{file}: this file cannot be written")
