"""Tests of state tokens: a token restores its state to the bit, and no other text is accepted."""

import base64
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.state_tokens import KEPT, BadToken, Origin, read_token, write_token
from model.anchors.state import layout
from model.fit import RECENT, residual_and_noise
from model.metadata import Architecture, CellKind
from model.runtime.base import State
from model.season import LONGEST_SEASON
from sine_client.limits import LARGEST_VALUE
from tests.server import ROOT

DIGEST, OTHER = "ab" * 32, "cd" * 32
SMALL = Architecture(hidden=3)
STATE = State(np.array([[0.25, -1.0, 1e-30]], np.float32), 20.0, 230.0, observed=100)

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
    level=st.floats(-1e15, 1e15),
    scale=st.floats(0, 1e15, exclude_min=True),
    observed=st.integers(0, 2**40),
    rolled_out=st.booleans(),
    data=st.data(),
)
def test_a_token_restores_its_state_to_the_bit(
    cell: CellKind,
    layers: int,
    hidden: int,
    level: float,
    scale: float,
    observed: int,
    rolled_out: bool,
    data: st.DataObject,
) -> None:
    architecture = Architecture(cell=cell, layers=layers, hidden=hidden)
    numbers = data.draw(st.lists(floats, min_size=layers * architecture.memory, max_size=layers * architecture.memory))
    errors = data.draw(st.lists(floats, min_size=RECENT, max_size=RECENT))
    memory_LM = np.array(numbers, np.float32).reshape(layers, architecture.memory)
    error_R = np.array(errors, np.float32)
    before = State(memory_LM, level, scale, observed, error_R, rolled_out=rolled_out)
    state = read_token(write_token(before, None, DIGEST), DIGEST, architecture).state
    assert state is not None
    assert state.memory_LM.tobytes() == memory_LM.tobytes()
    assert state.memory_LM.dtype == np.float32
    assert state.error_R.tobytes() == error_R.tobytes()
    counted = min(observed, 2**32 - 1)
    assert (state.level, state.scale, state.observed, state.rolled_out) == (level, scale, counted, rolled_out)
    residual_B, noise_B = residual_and_noise(error_R[None], np.array([counted]))
    assert (state.residual, state.noise) == (residual_B[0], noise_B[0])


@given(st.lists(st.floats(-LARGEST_VALUE, LARGEST_VALUE), min_size=1, max_size=KEPT + 1))
def test_a_token_of_few_values_holds_the_values_themselves(values: list[float]) -> None:
    origin = read_token(write_token(STATE, values, DIGEST), DIGEST, SMALL)
    if len(values) <= KEPT:
        assert origin == Origin(None, values)
    else:
        assert origin.state is not None
        assert not origin.values


def test_the_sizes_of_tokens_are_those_of_the_documentation() -> None:
    page = (ROOT / "docs" / "states.md").read_text()
    one, most = (len(write_token(STATE, [0.5] * count, DIGEST)) for count in (1, KEPT))
    assert f"{one} characters for one value, {most} for {KEPT}" in page
    states = [State(np.zeros((1, hidden), np.float32), 0.0, 1.0) for hidden in (36, 48)]
    smaller, larger = (len(write_token(state, None, DIGEST)) for state in states)
    assert f"{smaller} characters for 36 units of a GRU, {larger} for 48" in page
    year, week = (len(write_token(anchored_state(season, hidden=64), None, DIGEST)) for season in (12, 168))
    assert f"{year:,} characters for 64 units and a season of 12, {week:,} for 168" in page


def anchored_state(season: int, hidden: int = 3) -> State:
    """Return a state of a network with anchors."""
    anchors_K = np.random.default_rng(season).standard_normal(layout(season).size)
    return State(np.ones((1, hidden), np.float32), 0.0, 1.0, season=season, anchors_K=anchors_K)


@pytest.mark.parametrize("season", [1, 2, 12, LONGEST_SEASON])
def test_a_token_of_a_model_with_anchors_restores_them_and_the_season(season: int) -> None:
    before, architecture = anchored_state(season), Architecture(inputs="anchors", hidden=3)
    state = read_token(write_token(before, None, DIGEST), DIGEST, architecture).state
    assert state is not None
    assert state.anchors_K.tobytes() == before.anchors_K.tobytes()
    assert state.season == season
    with pytest.raises(BadToken, match="of a size"):
        read_token(write_token(before, None, DIGEST), DIGEST, SMALL)
    before.anchors_K[-1] = np.nan
    with pytest.raises(BadToken, match="not finite"):
        read_token(write_token(before, None, DIGEST), DIGEST, architecture)


@pytest.mark.parametrize("told", [None, 1, 12, LONGEST_SEASON])
def test_a_token_of_values_holds_the_season_that_was_told(told: int | None) -> None:
    origin = read_token(write_token(STATE, [1.0, 2.0], DIGEST, told), DIGEST, SMALL)
    assert origin == Origin(None, [1.0, 2.0], told=told)


def test_a_token_of_a_constant_sequence_holds_its_value_as_often_as_it_may() -> None:
    for observed, times in ((0, 1), (1, 1), (40, 40), (1000, KEPT)):
        state = State(STATE.memory_LM, -7.25, 0.0, observed)
        assert read_token(write_token(state, None, DIGEST), DIGEST, SMALL) == Origin(None, [-7.25] * times)
        if observed:
            token = write_token(state, [-7.25] * observed, DIGEST)
            assert read_token(token, DIGEST, SMALL) == Origin(None, [-7.25] * times)


@given(st.text() | st.text("ABCab01-_", min_size=40, max_size=80) | st.binary(max_size=90).map(lambda b: b.hex()))
def test_no_text_is_taken_for_a_token_by_chance(text: str) -> None:
    with pytest.raises(BadToken, match="damaged"):
        read_token(text, DIGEST, SMALL)


def test_a_token_with_one_character_changed_missing_or_doubled_is_damaged() -> None:
    token = write_token(STATE, None, DIGEST)
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
    token = write_token(STATE, None, DIGEST)
    with pytest.raises(BadToken, match="another model"):
        read_token(token, OTHER, SMALL)
    with pytest.raises(BadToken, match="of a size"):
        read_token(token, DIGEST, Architecture(hidden=4))
    with pytest.raises(BadToken, match="another format"):
        read_token(repacked(token, {0: b"\x01"}), DIGEST, SMALL)


@pytest.mark.parametrize(
    "change",
    [
        {17: b"\x03"},
        {18: b"\x00\x00"},
        {18: struct.pack("<H", LONGEST_SEASON + 1)},
        {24: struct.pack("<d", np.nan)},
        {24: struct.pack("<d", 1.1e15)},
        {32: struct.pack("<d", np.nan)},
        {32: struct.pack("<d", np.inf)},
        {32: struct.pack("<d", -1.0)},
        {32: struct.pack("<d", 1e300)},
        {40: struct.pack("<f", np.nan)},
        {40 + 4 * RECENT: struct.pack("<f", -np.inf)},
    ],
)
def test_a_token_of_a_memory_that_no_sequence_leaves_behind_is_refused(change: dict[int, bytes]) -> None:
    with pytest.raises(BadToken, match="not finite"):
        read_token(repacked(write_token(STATE, None, DIGEST), change), DIGEST, SMALL)


@pytest.mark.parametrize("number", [np.nan, np.inf, -1.1e15])
def test_a_token_of_values_that_no_request_may_have_is_refused(number: float) -> None:
    with pytest.raises(BadToken, match="not finite"):
        read_token(repacked(write_token(STATE, [1.0, 2.0], DIGEST), {28: struct.pack("<d", number)}), DIGEST, SMALL)
    with pytest.raises(BadToken, match="of a size"):
        read_token(repacked(write_token(STATE, [1.0, 2.0], DIGEST), {36: b"\x00"}), DIGEST, SMALL)
