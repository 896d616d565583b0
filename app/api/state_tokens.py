"""State tokens: a model's memory of a sequence, as text that the client keeps.

The service keeps no state of its clients. A request with a token continues from it on any worker, on any replica that
serves the same artifact, and after any restart: the memory of a recurrent network is small enough to travel. A token
is base64url, without padding, of these fields, all little-endian:

    format version    1 byte
    digest            16 bytes, the first of the artifact's sha256
    observed          4 bytes, the number of values that the memory covers; 0 after a rollout has fed predictions back
    scale             8 bytes, float64: the number that the values were divided by
    memory            4 bytes each, float32: the memory of each layer
    checksum          4 bytes, CRC-32 of everything before

The checksum finds damage, not forgery: a forged token gives a forecast from a made-up state, which harms nobody else.
"""

import base64
import binascii
import struct
import zlib
from typing import NamedTuple

import numpy as np

from model.metadata import Architecture
from model.runtime.base import State

_FORMAT = 1
_HEADER = struct.Struct("<B16sId")
_CHECKSUM = struct.Struct("<I")
_LARGEST_SCALE = float(np.finfo(np.float32).max)
"""The limit on the scale in a token. A value or the end of an interval is a number in single precision times the scale,
so double precision can hold it, even with a forged token."""


class BadToken(ValueError):
    """A token from which no forecast can continue. The message gives the reason and repeats nothing of the token."""


class Origin(NamedTuple):
    """The place in a sequence from which a forecast continues."""

    state: State | None
    """The model's memory; None at the start of a sequence."""

    observed: int
    """The number of values that `state` covers; 0 if some of them were predicted, or without a state."""


START = Origin(None, 0)


def write_token(state: State, observed: int, digest: str) -> str:
    """Return the token for a state of the artifact with this sha256 (hexadecimal). `observed` is as in `Origin`."""
    packed = _HEADER.pack(_FORMAT, bytes.fromhex(digest)[:16], min(observed, 2**32 - 1), state.scale)
    packed += state.memory_LM.astype("<f4").tobytes()
    return base64.urlsafe_b64encode(packed + _CHECKSUM.pack(zlib.crc32(packed))).rstrip(b"=").decode()


def read_token(token: str, digest: str, architecture: Architecture) -> Origin:
    """Return the origin that `write_token` wrote for this artifact.

    Raises BadToken for damage, another format, another model, or numbers that no sequence leaves behind.
    """
    try:
        content = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise BadToken("damaged: it is not base64url without padding") from None
    packed, checksum = content[: -_CHECKSUM.size], content[-_CHECKSUM.size :]
    if len(packed) < _HEADER.size:
        raise BadToken("damaged: it is too short")
    if checksum != _CHECKSUM.pack(zlib.crc32(packed)):
        raise BadToken("damaged: its checksum is wrong, or something is missing or too much")
    version, of_model, observed, scale = _HEADER.unpack_from(packed)
    if version != _FORMAT:
        raise BadToken(f"of another format than this service's, which is {_FORMAT}")
    shape = (architecture.layers, architecture.memory)
    if of_model != bytes.fromhex(digest)[:16] or len(packed) != _HEADER.size + 4 * shape[0] * shape[1]:
        raise BadToken("of another model than the one that is served; start again from the sequence")
    memory_LM = np.frombuffer(packed, "<f4", offset=_HEADER.size).astype(np.float32).reshape(shape)
    if not (0 <= scale <= _LARGEST_SCALE and np.isfinite(memory_LM).all()):
        raise BadToken("not finite, or of a scale that no sequence has")
    return Origin(State(memory_LM, scale), observed)
