"""Tests that the messages which docs/troubleshooting.md explains are those that the programs print."""

import re

import pytest

from tests.server import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")

FIRST_CELLS = re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE)

MESSAGES = [
    part.strip(" :;")
    for cell in FIRST_CELLS
    if not re.search("make serve|pip says", cell)
    for message in re.findall(r"`([^`]+)`", cell)
    for part in message.split("…")
    if len(part.strip(" :;")) > 6 and part != "Address already in use"  # the system's own
]


def sources() -> str:
    """Return the code with texts that go on in the next line put together."""
    files = [
        file
        for folder in ("app", "model")
        for file in sorted((ROOT / folder).rglob("*"))
        if file.suffix in (".py", ".js", ".html") and "vendor" not in file.parts
    ]
    return re.sub(r"\"\s*\n\s*f?\"", "", "\n".join(file.read_text("utf-8") for file in files))


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_is_explained_exists(message: str) -> None:
    assert message in sources()


def test_there_are_messages() -> None:
    assert len(MESSAGES) > 12
