"""The keys that clients show: made here, and known to the service by their SHA-256 alone.

    python -m app.keys NAME >> keys.txt

prints a new key for NAME to the terminal, and its line, `NAME:sha256`, into the file that `SINE_API_KEYS` or
`SINE_ADMIN_KEYS` names. Whoever reads the file cannot ask the service. A password would need a salt and a slow hash,
because people choose passwords that can be guessed. A key is 256 random bits: nobody has a table of those, and trying
them takes longer than there is time, however fast the hash is. So a fast one is right, and costs a request less.
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
"""What a search for keys that went astray can look for."""

_EVERY_S = 1.0
"""How old what is known of a file may be."""

_line = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-fA-F]{64})").fullmatch

Digests = list[tuple[bytes, bytes]]
"""The owner and the digest of each key."""


class BadKeys(ValueError):
    """A file of keys that cannot be used. The message says where it is wrong, and holds nothing of it."""


class Keys:
    """The keys in a file, which is read again when it has changed.

    That is how keys are changed without a restart: add the new one under the same name, and take the old one out when
    nobody uses it any more. A file that has become unreadable, or wrong, changes nothing, and the log says why. One
    without any key lets nobody in.
    """

    def __init__(self, path: Path) -> None:
        """Raises BadKeys if the file cannot be used."""
        self._path = path
        self._version = _version(path)
        self._digests = read_keys(path)
        self._looked_s = time.monotonic()

    def owner(self, key: bytes) -> bytes:
        """The name of whose key this is; empty if it is nobody's."""
        if time.monotonic() - self._looked_s > _EVERY_S:
            self._look()
        shown = hashlib.sha256(key).digest()
        found = b""
        for name, digest in self._digests:  # all of them, so that the time says nothing of which it was
            if hmac.compare_digest(digest, shown):
                found = name
        return found if key else b""  # whatever the file says: no key is no key

    def _look(self) -> None:
        """Read the file again if it is another one than before."""
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
    """The keys in a file: `name:sha256` in each line, which may also be blank, or a comment that begins with #.

    Raises BadKeys.
    """
    try:
        lines = path.read_text("ascii").splitlines()
    except UnicodeDecodeError:
        raise BadKeys("the file of keys is not ASCII") from None
    except OSError as error:  # its own text has the name of the file, which somebody may have taken for the key
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
    """256 random bits, as text."""
    return PREFIX + secrets.token_urlsafe(32)


def line(name: str, key: str) -> str:
    """What a file of keys has for this key. Raises ValueError for a name that it cannot have."""
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
    parser.add_argument("name", metavar="NAME", help="whose key it is, for the log: letters, digits or ._-")
    name, key = parser.parse_args().name, new_key()
    try:
        print(line(name, key))
    except ValueError as error:
        parser.error(str(error))
    print(f"The key of {name}, which nobody can show again:\n{key}", file=sys.stderr)


if __name__ == "__main__":
    main()
