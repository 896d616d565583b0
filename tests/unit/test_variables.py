"""Tests of what a start says about environment variables and options that no setting has."""

import re
from pathlib import Path

import pytest

from app.settings import Settings
from app.variables import WrongVariable, allowed, check_variables, wrong_options
from tests.keys import admin_keys
from tests.server import ROOT


def test_a_variable_that_nothing_reads_is_named_with_the_setting_that_is_like_it() -> None:
    (warning,) = check_variables({"SINE_MAX_STEP": "5", "sine_wrokers": "2", "SINE_Q": "x", "PATH": "/bin"}, Settings())
    assert "SINE_MAX_STEP (did you mean SINE_MAX_STEPS?)" in warning
    assert "sine_wrokers (did you mean SINE_WORKERS?)" in warning
    assert warning.endswith(", SINE_Q")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert check_variables({"SINE_MAX_STEP": "", "SINE_API_KEY_FILE": ""}, Settings()) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SINE_API_KEY_FILE", "SINE_API_KEYS"),
        ("SINE_APIKEYS", "SINE_API_KEYS"),
        ("SINE_KEYS", "SINE_API_KEYS"),
        ("SINE_ADMIN_KEY", "SINE_ADMIN_KEYS"),
        ("SINE_MODEL_SHA", "SINE_MODEL_SHA256"),
        ("SINE_STEPS_PER_SEC", "SINE_STEPS_PER_SECOND"),
    ],
)
def test_a_misspelt_setting_that_protects_the_service_is_refused_without_its_value(name: str, meant: str) -> None:
    with pytest.raises(WrongVariable, match=f"^{name}: .*{meant}$") as refused:
        check_variables({name: "planted"}, Settings())
    assert "planted" not in str(refused.value)


def test_such_a_variable_is_only_named_where_the_setting_itself_is_set(tmp_path: Path) -> None:
    (warning,) = check_variables({"SINE_API_KEY_FILE": "x"}, Settings(api_keys=admin_keys(tmp_path)))
    assert "SINE_API_KEY_FILE" in warning


def test_the_key_of_a_client_does_not_pass_for_the_keys_of_the_service() -> None:
    (warning,) = check_variables({"SINE_API_KEY": "planted"}, Settings())
    assert "the service asks for none" in warning
    assert "planted" not in warning


def test_the_variables_that_kubernetes_makes_for_a_service_named_sine_are_no_reason_to_refuse() -> None:
    made = ["SERVICE_HOST", "SERVICE_PORT", "PORT_8000_TCP", "PORT_8000_TCP_PROTO", "PORT_8000_TCP_ADDR"]
    (warning,) = check_variables({f"SINE_{name}": "x" for name in made}, Settings())
    assert all(f"SINE_{name}" in warning for name in made)


def test_every_variable_in_the_repository_is_known() -> None:
    places = ["*.md", "*.yml", "Makefile", "Dockerfile", "app/**/*.py", "benchmarks/**/*.py", "docs/**/*.md"]
    places.append("deploy/**/*.yaml")
    texts = [path.read_text() for place in places for path in ROOT.glob(place)]
    names = {name for text in texts for name in re.findall(r"\bSINE_[A-Z0-9_]*[A-Z0-9]\b", text)}
    assert len(names) > 30
    assert check_variables(dict.fromkeys(names - {"SINE_API_KEY"}, "x"), Settings()) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("port", "an integer from 0 to 65,535"),
        ("workers", "an integer from 1 to 1,024"),
        ("timeout_s", "a number above 0"),
        ("device", "auto, cpu or cuda"),
        ("hot_path", "true or false"),
        ("models", "a path"),
    ],
)
def test_what_a_setting_may_be_is_said_in_words(name: str, said: str) -> None:
    assert allowed(name) == said


def test_options_are_named_and_their_values_are_not() -> None:
    assert wrong_options(["--api-key", "planted"]).startswith("unknown option --api-key:")
    assert wrong_options(["--api-key=planted", "--port", "1"]).startswith("unknown option --api-key:")
    assert re.match(r"an option takes one value", wrong_options(["--port", "1", "planted"]))
