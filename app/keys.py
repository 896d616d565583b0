"""Make the keys that clients send. The service knows only the SHA-256 of each key.

    python -m app.keys NAME >> keys.txt

prints a new key for NAME to the terminal. It appends the line `NAME:sha256` to keys.txt, the file that `SINE_API_KEYS`
or `SINE_ADMIN_KEYS` names. A reader of the file cannot call the service.

A password would need a salt and a slow hash, because people choose passwords that can be guessed. A key is 256 random
bits: no table holds them, and nobody has the time to try them all, however fast the hash is. So a fast hash is right,
and it costs a request less.
"""

import argparse
import hashlib
import hmac
import logging
import re
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

PREFIX = "sine_"
"""The beginning of every key. A search for leaked keys can look for it."""

_EVERY_S = 1.0
"""The service looks for changes of a file of keys at most once in this many seconds."""

_line = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-fA-F]{64})").fullmatch

Digests = list[tuple[bytes, bytes]]
"""The owner and the SHA-256 of each key."""


class BadKeys(ValueError):
    """The file of keys cannot be used. The message names the faulty line, and repeats nothing from the file."""


class Keys:
    """The keys in a file. The file is read again when it has changed.

    So keys change without a restart: add the new key under the same name, and remove the old key when nobody uses it
    any more. A file that has become unreadable or wrong changes nothing, and the log says why. A file without keys lets
    nobody in.
    """

    def __init__(self, path: Path) -> None:
        """Read the keys. Raises BadKeys if the file cannot be used."""
        self._path = path
        self._version = file_version(path)
        self._digests = read_keys(path)
        self._looked_s = time.monotonic()

    def owner(self, key: bytes) -> bytes:
        """Return the name of the owner of `key`, or nothing if the key is unknown."""
        if time.monotonic() - self._looked_s > _EVERY_S:
            self._read_if_changed()
        shown = hashlib.sha256(key).digest()
        # Every key is compared, so that the time does not tell which one matched.
        owners = [name for name, digest in self._digests if hmac.compare_digest(digest, shown)]
        return owners[-1] if owners and key else b""  # an empty key is no key, whatever the file says

    def _read_if_changed(self) -> None:
        self._looked_s = time.monotonic()
        before, self._version = self._version, file_version(self._path)
        if self._version == before:
            return
        try:
            self._digests = read_keys(self._path)
        except BadKeys as error:
            log.error("The keys stay as they were: %s.", error)
        else:
            log.info("Read the keys again: there are %d.", len(self._digests))


def read_keys(path: Path) -> Digests:
    """Return the keys in a file. Each line is `name:sha256`, blank or a comment that begins with #. Raises BadKeys."""
    try:
        lines = path.read_text("ascii").splitlines()
    except UnicodeDecodeError:
        raise BadKeys("the file of keys is not ASCII") from None
    except OSError as error:  # its text has the file's name, which may be a key that was set by mistake
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
    """Return a new key: the prefix and 256 random bits, as text."""
    return PREFIX + secrets.token_urlsafe(32)


def line(name: str, key: str) -> str:
    """Return the line of this key in a file of keys. Raises ValueError for an invalid name."""
    made = f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"
    if _line(made) is None:
        raise ValueError("a name has 1 to 64 letters, digits or ._-")
    return made


def file_version(path: Path) -> tuple[int, int, int] | None:
    """Return what the file system says of a file, behind symbolic links: another value after a change. None if it is
    not there."""
    with suppress(OSError):
        status = path.stat()
        return status.st_mtime_ns, status.st_ino, status.st_size
    return None


def main() -> None:
    """Print a new key to standard error, and its line to standard output."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m app.keys", description=__doc__, formatter_class=raw)
    parser.add_argument("name", metavar="NAME", help="the owner of the key, for the log: letters, digits or ._-")
    name, key = parser.parse_args().name, new_key()
    try:
        print(line(name, key))
    except ValueError as error:
        parser.error(str(error))
    print(f"The key of {name}, which nobody can show again:\n{key}", file=sys.stderr)


if __name__ == "__main__":
    main()
