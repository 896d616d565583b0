"""Tests that the changelog describes the package's version."""

import re
import tomllib

from tests.server import ROOT


def test_the_newest_release_of_the_changelog_is_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    sections = re.findall(r"^## \[(.+?)\](.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert sections[0] == ("Unreleased", "")
    version, date = sections[1]
    assert version == project["version"]
    assert re.fullmatch(r" - \d{4}-\d\d-\d\d", date)
