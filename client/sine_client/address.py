"""Checks the address of a service and its key. No error repeats them: either may be a secret, or contain one."""

import re
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

_FORM = "; an address has the form http://HOST:PORT, with an IPv6 address in brackets"


def service_url(address: str, name: str) -> str:
    """Return the address of a service, with `http://` before it if it has no scheme.

    Raises ValueError for an address that cannot be used. The message begins with `name` and says what is allowed.
    """
    if not isinstance(address, str):
        raise ValueError(f"{name} is not text, such as http://localhost:8000, or an httpx client of the same kind")
    if "@" in address:
        raise ValueError(
            f"{name} contains a user name or a password: leave them out; a key goes into api_key, or into SINE_API_KEY "
            "for the command line"
        )
    if "?" in address or "#" in address:
        raise ValueError(f"{name} contains a query or a fragment: leave out ? or #, and what follows")
    return str(parse(address, ("http", "https"), name))


def parse(address: str, schemes: Sequence[str], name: str) -> httpx.URL:
    """Return an address as a URL, with `http://` before it if it has no scheme.

    Raises ValueError for another scheme than `schemes`, a missing host or a wrong port. The message begins with `name`.
    """
    text = address.strip()
    scheme = text.partition("://" if "://" in text else ":")[0].lower()
    if "://" not in text and scheme not in schemes:
        scheme, text = "http", f"http://{text}"
    if scheme not in schemes or "://" not in text:
        raise ValueError(f"{name} does not begin with {' or '.join(f'{known}://' for known in schemes)}{_FORM}")
    # The parsers' messages repeat parts of the address. An error raised outside of their handlers has no such context.
    port, url = None, None
    with suppress(ValueError):
        port = urlsplit(text).port
        port = 80 if port is None else port
    if not port:
        raise ValueError(f"{name} has a port that is not a number from 1 to 65535{_FORM}")
    with suppress(ValueError, httpx.InvalidURL):
        parsed = httpx.URL(text)
        parsed.host.encode("idna")  # as the system does when it looks the host up
        url = parsed
    if url is None or not re.fullmatch(r"(?!\d+$)[^\s%\\]+|[0-9a-f:.]+:[^\s\\]+", url.host) or re.search(r"\s", text):
        raise ValueError(f"{name} has no valid host, or a space inside{_FORM}")
    return url


def clean_key(key: str | None, name: str) -> str | None:
    """Return a key without the whitespace around it, which files and shells add. A blank key is no key: None.

    Raises ValueError for a key that no header can carry. The message begins with `name` and repeats nothing of the key.
    """
    if key is not None and not isinstance(key, str):
        raise ValueError(f"{name} is not text")
    key = (key or "").strip()
    if not re.fullmatch(r"[!-~]*", key):
        raise ValueError(f"{name} is not a key: inside, it has a space, a line break or a character that is not ASCII")
    return key or None
