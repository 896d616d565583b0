"""Tests of a training run's settings, and of the command line that is generated from them."""

import dataclasses
import re

import pytest

from training.__main__ import parse
from training.config import PRESETS, Config
from training.data import Waves


def options() -> list[str]:
    """Return the command line's options, read from the fields of the dataclasses."""
    flat = [field.name for field in dataclasses.fields(Config) if field.name != "waves"]
    nested = [f"waves.{field.name}" for field in dataclasses.fields(Waves)]
    return [f"--{name.replace('_', '-')}" for name in flat + nested]


def test_help_lists_every_option_with_its_default_and_a_description(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        parse(["--help"])
    assert stopped.value.code == 0
    # Each part runs from one option to the next, without the characters of the frame.
    shown = re.split(r"\s(?=--[a-z])", re.sub(r"[│\s]+", " ", capsys.readouterr().out))
    described = {entry.split(" ", 1)[0]: entry for entry in shown}
    for option in options():
        assert "(default: " in described[option], option
        assert len(described[option].split()) > 6, option


def test_the_default_preset_is_used_without_options() -> None:
    assert parse([]) == PRESETS["default"] == Config()


@pytest.mark.parametrize("arguments", [["--preset", "article"], ["--preset=article"]])
def test_other_options_override_a_preset(arguments: list[str]) -> None:
    config = parse([*arguments, "--epochs", "7"])
    assert config == dataclasses.replace(PRESETS["article"], epochs=7)
    assert config.artifact != Config().artifact, "presets do not overwrite each other's models"


def test_waves_are_chosen_on_the_command_line() -> None:
    assert parse(["--waves.period", "12", "30"]).waves.period == (12.0, 30.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--batches 0", "batches must be at least 1, not 0"),
        ("--epochs 0 --finish 0", "epochs must be at least 1 where finish is 0, not 0"),
        ("--context 90 50", "context must be two integers of at least 1, the smaller one first, not 90 50"),
        ("--settle 48", "settle must be 0 to 23, less than context, not 48"),
        ("--learning-rate 0", "learning-rate must be a finite number above 0, not 0.0"),
        ("--noise nan", "noise must be a finite number of at least 0, not nan"),
        ("--waves.period 1 5", "period must be more than 2 samples, not 1.0"),
        ("--name a/b", "name must be a name without slashes, not 'a/b'"),
        ("--preset other", "invalid choice 'other'"),
        ("--epochs many", "many"),
        ("--hidden 64", "finish must be 0 (and epochs more) for more than 6000 weights"),
        ("--cell transformer", "transformer"),
    ],
)
def test_a_wrong_value_stops_with_what_is_allowed(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        parse(arguments.split())
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
