"""Tests of key files: the keys that they hold, and the errors for lines that are wrong."""

import hashlib
from pathlib import Path

import pytest

from app.api.guard import bearer
from app.keys import BadKeys, Keys, line, new_key, read_keys


def test_a_file_has_a_line_for_each_key(tmp_path: Path) -> None:
    file, (first, second) = tmp_path / "keys", (new_key(), new_key())
    file.write_text(
        f"# of the plant\n\n  {line('press-1', first)}\n{line('press-1', second).upper().replace('PRESS', 'press')}\n"
    )
    assert [name for name, _ in read_keys(file)] == [b"press-1", b"press-1"]
    keys = Keys(file)
    assert [keys.owner(key.encode()) for key in (first, second)] == [b"press-1", b"press-1"]
    assert [keys.owner(key) for key in (b"", first.encode()[:-1], hashlib.sha256(first.encode()).digest())] == [b""] * 3


def test_an_empty_key_has_no_owner_whatever_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(line("alice", ""))
    assert Keys(file).owner(b"") == b""


@pytest.mark.parametrize(
    "wrong", ["sine_a-key-in-the-clear", "alice:abc", f"a b:{'0' * 64}", f":{'0' * 64}", f"alice:{'0' * 65}", "\u00e9"]
)
def test_an_invalid_line_is_refused_and_not_repeated(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{line('alice', new_key())}\n{wrong}\n")
    with pytest.raises(BadKeys, match=r"line 2 .* is not name:sha256|not ASCII") as refused:
        read_keys(file)
    assert wrong not in str(refused.value)


def test_keys_are_never_the_same() -> None:
    assert len({new_key() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ([b"Bearer abc"], b"abc"),
        ([b"bEARER   abc "], b"abc"),
        ([b"Basic abc"], b""),
        ([b"abc"], b""),
        ([b"Bearer"], b""),
        ([b"Bearer abc", b"Bearer abc"], b""),
        ([], b""),
    ],
)
def test_a_key_is_a_bearer_token(given: list[bytes], key: bytes) -> None:
    assert bearer([(b"host", b"x"), *((b"authorization", value) for value in given)]) == key
