"""State tokens: a model's memory of a sequence, as text that the client keeps.

The service keeps no state of its clients. A request with a token continues from it on any worker, on any replica that
serves the same artifact, and after any restart: the memory of a recurrent network is small enough to travel. A token
is base64url, without padding, of these fields, all little-endian:

    format version    1 byte
    digest            16 bytes, the first of the artifact's sha256
    kind              1 byte: 0 for values, 1 for a memory, 2 for a memory after a rollout
    season            2 bytes: that of the memory, or the one that was told of the values, 0 for none
    content           as below
    checksum          4 bytes, CRC-32 of everything before

**The values themselves**, float64, are the content while there are at most `KEPT` of them. Their units may still
change: the first values of a wave hardly show its range. So the next request encodes them again, with its own. A
constant sequence is kept so too, however long it is: its value, `KEPT` times at most.

**The memory** is the content after more values, or after a rollout:

    observed          4 bytes, the number of values observed
    level, scale      8 bytes each, float64: the units of the sequence, which stay from now on
    errors            4 bytes each, float32: the last errors of prediction, in these units
    memory            4 bytes each, float32: the memory of each layer
    anchors           8 bytes each, float64: the state of the anchors and the members, if the model has any

The checksum finds damage, not forgery: a forged token gives a forecast from a made-up state, which harms nobody else.
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.anchors.state import layout
from model.fit import RECENT, residual_and_noise
from model.metadata import Architecture
from model.runtime.base import State
from model.season import LONGEST_SEASON
from sine_client.limits import LARGEST_VALUE

KEPT = 64
"""A sequence of at most so many values is kept as it is."""

_FORMAT = 3
_VALUES, _MEMORY, _ROLLED_OUT = 0, 1, 2
_HEADER = struct.Struct("<B16sBH")
_UNITS = struct.Struct("<Idd")
_CHECKSUM = struct.Struct("<I")
_LARGEST_SCALE = float(np.finfo(np.float32).max)
"""The limit on the scale in a token. A value or the end of an interval is a number in single precision times the scale,
so double precision can hold it, even with a forged token."""


class BadToken(ValueError):
    """A token from which no forecast can continue. The message gives the reason and repeats nothing of the token."""


class Origin(NamedTuple):
    """The beginning of a forecast."""

    state: State | None = None
    """The state to continue; None at the start of a sequence."""

    values: Sequence[float] = ()
    """The values after the state, which are to be encoded."""

    season: int = 1
    """The season of a sequence that begins with these values, 1 for none."""

    told: int | None = None
    """The season that the client has told; None if it was to be found."""


def write_token(state: State, values: Sequence[float] | None, digest: str, told: int | None = None) -> str:
    """Return the token for a state of the artifact with this sha256 (hexadecimal).

    `values` are all values that the state has observed; None if they are not known, or not all that it remembers.
    `told` is the season that the client has told.
    """
    if state.scale == 0 and (values is None or len(values) > KEPT):  # all values were the same, and have no range yet
        values = [state.level] * min(max(1, state.observed), KEPT)
    if values is not None and len(values) <= KEPT:
        kind, season, content = _VALUES, told or 0, np.asarray(values, "<f8").tobytes()
    else:
        kind, season = _ROLLED_OUT if state.rolled_out else _MEMORY, state.season
        content = _UNITS.pack(min(state.observed, 2**32 - 1), state.level, state.scale)
        content += state.error_R.astype("<f4").tobytes() + state.memory_LM.astype("<f4").tobytes()
        content += state.anchors_K.astype("<f8").tobytes()
    packed = _HEADER.pack(_FORMAT, bytes.fromhex(digest)[:16], kind, season) + content
    return base64.urlsafe_b64encode(packed + _CHECKSUM.pack(zlib.crc32(packed))).rstrip(b"=").decode()


def read_token(token: str, digest: str, architecture: Architecture) -> Origin:
    """Return the origin that `write_token` wrote for this artifact.

    Raises BadToken for damage, another format, another model, or numbers that no sequence leaves behind.
    """
    try:
        content = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise BadToken("damaged: it is not base64url without padding") from None
    if base64.urlsafe_b64encode(content).rstrip(b"=") != token.encode():  # the last character has bits that say nothing
        raise BadToken("damaged: its last character is wrong")
    packed, checksum = content[: -_CHECKSUM.size], content[-_CHECKSUM.size :]
    if len(packed) < _HEADER.size:
        raise BadToken("damaged: it is too short")
    if checksum != _CHECKSUM.pack(zlib.crc32(packed)):
        raise BadToken("damaged: its checksum is wrong, or something is missing or too much")
    version, of_model, kind, season = _HEADER.unpack_from(packed)
    if version != _FORMAT:
        raise BadToken(f"of another format than this service's, which is {_FORMAT}; start again from the sequence")
    if of_model != bytes.fromhex(digest)[:16]:
        raise BadToken("of another model than the one that is served; start again from the sequence")
    content = packed[_HEADER.size :]
    origin = _values(content, season) if kind == _VALUES else _memory(content, kind, season, architecture)
    if origin is None:
        raise BadToken("not finite, or of a size that no sequence leaves behind")
    return origin


def _values(content: bytes, season: int) -> Origin | None:
    if not content or len(content) > 8 * KEPT or len(content) % 8 or season > LONGEST_SEASON:
        return None
    values = np.frombuffer(content, "<f8").tolist()
    if not all(abs(value) <= LARGEST_VALUE for value in values):  # never for NaN
        return None
    return Origin(values=values, told=season or None)


def _memory(content: bytes, kind: int, season: int, architecture: Architecture) -> Origin | None:
    if kind not in (_MEMORY, _ROLLED_OUT) or not 1 <= season <= LONGEST_SEASON:
        return None
    shape = (architecture.layers, architecture.memory)
    end = _UNITS.size + 4 * (RECENT + shape[0] * shape[1])
    anchors = layout(season).size if architecture.inputs == "anchors" else 0
    anchors += architecture.members.state if architecture.members else 0
    if len(content) != end + 8 * anchors:
        return None
    observed, level, scale = _UNITS.unpack_from(content)
    numbers = np.frombuffer(content[:end], "<f4", offset=_UNITS.size).astype(np.float32)
    anchors_K = np.frombuffer(content, "<f8", offset=end).astype(np.float64)
    finite = np.isfinite(numbers).all() and np.isfinite(anchors_K).all()
    if not (abs(level) <= LARGEST_VALUE and 0 <= scale <= _LARGEST_SCALE and finite):
        return None
    error_R, memory_LM = numbers[:RECENT], numbers[RECENT:].reshape(shape)
    residual_B, noise_B = residual_and_noise(error_R[None], np.array([observed]))
    fit = (residual_B.item(), noise_B.item())
    return Origin(State(memory_LM, level, scale, observed, error_R, *fit, kind == _ROLLED_OUT, season, anchors_K))
