"""Tests of state tokens: a token restores its state to the bit, and no other text is accepted."""

import base64
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.state_tokens import BadToken, read_token, write_token
from model.metadata import Architecture, CellKind
from model.runtime.base import State

DIGEST, OTHER = "ab" * 32, "cd" * 32
SMALL = Architecture(hidden=3)
STATE = State(np.array([[0.25, -1.0, 1e-30]], np.float32), 230.0)

floats = st.floats(allow_nan=False, allow_infinity=False, width=32)


def repacked(token: str, change: dict[int, bytes]) -> str:
    """Return the token with other bytes at some places, and a checksum that matches them."""
    content = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))[:-4]
    for place, new in change.items():
        content[place : place + len(new)] = new
    return base64.urlsafe_b64encode(content + struct.pack("<I", zlib.crc32(content))).rstrip(b"=").decode()


@given(
    cell=st.sampled_from(["rnn", "gru", "lstm"]),
    layers=st.integers(1, 3),
    hidden=st.integers(1, 5),
    scale=st.floats(0, 1e15),
    observed=st.integers(0, 2**40),
    data=st.data(),
)
def test_a_token_restores_its_state_to_the_bit(
    cell: CellKind, layers: int, hidden: int, scale: float, observed: int, data: st.DataObject
) -> None:
    architecture = Architecture(cell=cell, layers=layers, hidden=hidden)
    numbers = data.draw(st.lists(floats, min_size=layers * architecture.memory, max_size=layers * architecture.memory))
    memory_LM = np.array(numbers, np.float32).reshape(layers, architecture.memory)
    origin = read_token(write_token(State(memory_LM, scale), observed, DIGEST), DIGEST, architecture)
    assert origin.state is not None
    assert origin.state.memory_LM.tobytes() == memory_LM.tobytes()
    assert origin.state.memory_LM.dtype == np.float32
    assert origin.state.scale == scale
    assert origin.observed == min(observed, 2**32 - 1)


@given(st.text() | st.text("ABCab01-_", min_size=40, max_size=80) | st.binary(max_size=90).map(lambda b: b.hex()))
def test_no_text_is_taken_for_a_token_by_chance(text: str) -> None:
    with pytest.raises(BadToken, match="damaged"):
        read_token(text, DIGEST, SMALL)


def test_a_token_with_one_character_changed_missing_or_doubled_is_damaged() -> None:
    token = write_token(STATE, 64, DIGEST)
    for place, character in enumerate(token):
        other = "A" if character != "A" else "B"
        for damaged in (
            token[:place] + other + token[place + 1 :],
            token[:place] + token[place + 1 :],
            token[:place] + character + token[place:],
            token[:place] + "é" + token[place:],
        ):
            with pytest.raises(BadToken, match="damaged"):
                read_token(damaged, DIGEST, SMALL)


def test_a_token_of_another_model_or_format_says_so() -> None:
    token = write_token(STATE, 64, DIGEST)
    with pytest.raises(BadToken, match="another model"):
        read_token(token, OTHER, SMALL)
    with pytest.raises(BadToken, match="another model"):
        read_token(token, DIGEST, Architecture(hidden=4))
    with pytest.raises(BadToken, match="another format"):
        read_token(repacked(token, {0: b"\x02"}), DIGEST, SMALL)


@pytest.mark.parametrize(
    "change",
    [
        {21: struct.pack("<d", np.nan)},
        {21: struct.pack("<d", np.inf)},
        {21: struct.pack("<d", -1.0)},
        {21: struct.pack("<d", 1e300)},
        {29: struct.pack("<f", np.nan)},
        {33: struct.pack("<f", -np.inf)},
    ],
)
def test_a_token_that_is_not_finite_is_refused(change: dict[int, bytes]) -> None:
    with pytest.raises(BadToken, match="not finite"):
        read_token(repacked(write_token(STATE, 64, DIGEST), change), DIGEST, SMALL)
