"""Make a key for a client of the service.

    python -m app.keys NAME >> keys.txt

The command prints a new key for NAME to the terminal, and appends the line `NAME:sha256` to the file. `SINE_API_KEYS`
or `SINE_ADMIN_KEYS` names that file. The service knows only the SHA-256 of a key, so a reader of the file cannot call
the service. A password would need a salt and a slow hash, because people choose passwords that can be guessed. A key
is 256 random bits: no table has them, and no hash is fast enough to try them all. So a fast hash is safe, and it costs
a request less.
"""

import argparse
import hashlib
import hmac
import logging
import os
import re
import secrets
import sys
import time
from pathlib import Path

log = logging.getLogger(__name__)

PREFIX = "sine_"
"""`PREFIX` begins each key, so that a search can find keys that leaked."""

_EVERY_S = 1.0
"""`_EVERY_S` is the number of seconds after which `Keys` looks for a change of its file."""

_line = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-fA-F]{64})").fullmatch

Digests = list[tuple[bytes, bytes]]
"""`Digests` is a list of pairs: the owner and the SHA-256 digest of each key."""


class BadKeys(ValueError):
    """A file of keys cannot be used. The message says where the fault is, and quotes nothing of the file."""


class Keys:
    """The keys in a file, which `Keys` reads again when the file changes.

    So keys are replaced without a restart: add the new key under the same name, and remove the old one when nobody uses
    it any more. A file that becomes unreadable or wrong changes nothing, and the log says why. A file without any key
    lets nobody in.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. Raises BadKeys if it cannot be used."""
        self._path = path
        self._version = _version(path)
        self._digests = read_keys(path)
        self._looked_s = time.monotonic()

    def owner(self, key: bytes) -> bytes:
        """Return the name of the key's owner, or an empty string for an unknown key."""
        if time.monotonic() - self._looked_s > _EVERY_S:
            self._look()
        shown = hashlib.sha256(key).digest()
        found = b""
        for name, digest in self._digests:  # no early exit, so that the time does not tell which one matched
            if hmac.compare_digest(digest, shown):
                found = name
        return found if key else b""  # an empty key is no key, even if the file has its digest

    def _look(self) -> None:
        """Read the file again if it has changed."""
        self._looked_s = time.monotonic()
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._digests = read_keys(self._path)
        except BadKeys as error:
            log.error("The keys stay as they were: %s.", error)
        else:
            log.info("Read the keys again: there are %d.", len(self._digests))


def read_keys(path: Path) -> Digests:
    """Return the keys in a file. Each line is `name:sha256`, blank, or a comment that begins with #.

    Raises BadKeys if the file cannot be read or has another line.
    """
    try:
        lines = path.read_text("ascii").splitlines()
    except UnicodeDecodeError:
        raise BadKeys("the file of keys is not ASCII") from None
    except OSError as error:  # its own text has the file's name, and somebody may have set the key there
        raise BadKeys(f"the file of keys cannot be read: {error.strerror}") from None
    digests: Digests = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        match = _line(line)
        if match is None:
            raise BadKeys(
                f"line {number} of the file of keys is not name:sha256: a name of 1 to 64 letters, digits or ._- "
                "and 64 hexadecimal digits; `python -m app.keys NAME` makes one"
            )
        digests.append((match[1].encode(), bytes.fromhex(match[2])))
    return digests


def new_key() -> str:
    """Return a key of 256 random bits as text."""
    return PREFIX + secrets.token_urlsafe(32)


def line(name: str, key: str) -> str:
    """Return the line `name:sha256` for a key. Raises ValueError for an invalid name."""
    made = f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"
    if _line(made) is None:
        raise ValueError("a name has 1 to 64 letters, digits or ._-")
    return made


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def main() -> None:
    """Print a new key to standard error, and its line to standard output."""
    parser = argparse.ArgumentParser(
        prog="python -m app.keys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "name", metavar="NAME", help="owner of the key, as the log shows it: 1 to 64 letters, digits or ._-"
    )
    name, key = parser.parse_args().name, new_key()
    try:
        print(line(name, key))
    except ValueError as error:
        parser.error(str(error))
    print(f"The key of {name}. It cannot be shown again:\n{key}", file=sys.stderr)


if __name__ == "__main__":
    main()
