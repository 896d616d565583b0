"""Tests that impossible settings are refused, with an error that says what is allowed."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.keys import line, new_key
from app.settings import Settings


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("api_keys", "/no/such/file", "the file of keys cannot be read: No such file"),
        ("admin_keys", "/", "the file of keys cannot be read: Is a directory"),
        ("steps_per_second", 5, "SINE_API_KEYS is not set"),
        ("cors_origins", "page.example", "either \\*, or origins"),
        ("cors_origins", "https://page.example/path", "either \\*, or origins"),
        ("cors_origins", "*,https://page.example", "either \\*, or origins"),
        ("model_sha256", "abc", "64 hexadecimal digits"),
        ("model_name", "a/b", "1 to 253 letters, digits"),
        ("model_name", "-a", "a letter or a digit first"),
        ("reload_interval_s", 0, "greater than 0"),
        ("model_sha256", f"{'0' * 64},", "64 hexadecimal digits"),
    ],
)
def test_impossible_values_are_refused(setting: str, value: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings(**{setting: value})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cors_origins": "*"},
        {"cors_origins": "https://a.example,http://localhost:5173", "model_sha256": f"{'a' * 64},{'B' * 64}"},
    ],
)
def test_another_process_reads_the_same_from_the_environment(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(**given)
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_rates_need_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(line("alice", new_key()))
    assert Settings(api_keys=file, steps_per_second=5).steps_per_second == 5
