"""State tokens: what a model remembers of a sequence, as text that the client keeps.

The service remembers nothing. Whoever holds a token can go on from it on any worker, any replica that serves the same
artifact, and after any restart: the memory of a recurrent network is small enough
to travel. A token is base64url, without padding, of

    format version    1 byte
    digest            16 bytes, the first of the artifact's sha256
    observed          4 bytes, how many values the memory is of; 0 once a rollout has fed predictions back
    scale             8 bytes, float64: what the values were divided by
    memory            4 bytes each, float32: what each layer remembers
    checksum          4 bytes, CRC-32 of all before

all little-endian. The checksum finds damage, not forgery: whoever makes a token up gets a forecast from a made-up
state, which hurts nobody else.
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
_MOST_OBSERVED = 2**32 - 1
_LARGEST_SCALE = float(np.finfo(np.float32).max)
"""Of a token, made-up ones included: a value or the end of an interval is a number in single precision times the scale,
which double precision then can hold."""


class BadToken(ValueError):
    """A token that cannot be gone on from; the message says why, and repeats nothing of it."""


class Origin(NamedTuple):
    """Where a forecast goes on from."""

    state: State | None
    """None for the start of a sequence."""

    observed: int
    """Values that `state` is of, all of them observed; 0 where that is not so, or none."""


START = Origin(None, 0)


def write_token(state: State, observed: int, digest: str) -> str:
    """The token for a state of the artifact with this sha256 (hexadecimal). `observed` is as in `Origin`."""
    packed = _HEADER.pack(_FORMAT, bytes.fromhex(digest)[:16], min(observed, _MOST_OBSERVED), state.scale)
    packed += state.memory_LM.astype("<f4").tobytes()
    return base64.urlsafe_b64encode(packed + _CHECKSUM.pack(zlib.crc32(packed))).rstrip(b"=").decode()


def read_token(token: str, digest: str, architecture: Architecture) -> Origin:
    """What `write_token` wrote for this very artifact.

    Raises:
        BadToken: it is damaged, of another format, of another model, or of numbers that no sequence leaves behind.
    """
    shape = (architecture.layers, architecture.memory)
    size = _HEADER.size + 4 * shape[0] * shape[1] + _CHECKSUM.size
    try:
        content = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise BadToken("damaged: it is not base64url without padding") from None
    if len(content) < _HEADER.size + _CHECKSUM.size:
        raise BadToken("damaged: it is too short")
    packed, checksum = content[: -_CHECKSUM.size], content[-_CHECKSUM.size :]
    if _CHECKSUM.unpack(checksum) != (zlib.crc32(packed),):
        raise BadToken("damaged: its checksum is wrong, or something is missing or too much")
    version, of_model, observed, scale = _HEADER.unpack_from(packed)
    if version != _FORMAT:
        raise BadToken(f"of another format than this service's, which is {_FORMAT}")
    if of_model != bytes.fromhex(digest)[:16] or len(content) != size:
        raise BadToken("of another model than the one that is served; start again from the sequence")
    memory_LM = np.frombuffer(packed, "<f4", offset=_HEADER.size).astype(np.float32).reshape(shape)
    if not (0 <= scale <= _LARGEST_SCALE and np.isfinite(memory_LM).all()):
        raise BadToken("not finite, or of a scale that no sequence has")
    return Origin(State(memory_LM, scale), observed)
