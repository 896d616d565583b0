"""Tests that the page of settings is generated from the settings, and is current."""

import re

from app.settings import Settings
from benchmarks.configuration import PAGE, configuration_page


def test_the_page_of_settings_is_current() -> None:
    page = PAGE.read_text("utf-8")
    assert page == configuration_page(), "`python -m benchmarks.configuration` updates it"


def test_the_page_has_a_row_for_each_setting() -> None:
    variables = re.findall(r"^\| `SINE_(\w+)` ", PAGE.read_text("utf-8"), re.MULTILINE)
    assert variables == [name.upper() for name in Settings.model_fields]
    assert len(variables) > 20


def test_each_setting_is_described_in_sentences_that_name_it() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description is not None, name
        assert field.description.startswith(f"`SINE_{name.upper()}` "), name
        assert field.description.endswith("."), name
