"""`python -m benchmarks.configuration` writes docs/configuration.md, the table of every setting, from `Settings`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from app.settings import Settings
from app.variables import allowed
from benchmarks.report import ROOT

PAGE = ROOT / "docs" / "configuration.md"

TEXT = """# Configuration

The service reads its settings from environment variables and from flags of `python -m app`. A flag wins over its
variable, and an empty variable counts as not set. A wrong value ends the start with status 2 and a line that names the
variable. [operations.md](operations.md#starting) says what happens to a variable that is no setting.
`python -m app --help` lists the same settings.

{table}

`python -m benchmarks.configuration` writes this page from `app/settings.py`.
"""


def configuration_page() -> str:
    """Return the text that docs/configuration.md has to have."""
    return TEXT.format(table=configuration_table())


def configuration_table() -> str:
    """Return a Markdown table with a row for each setting."""
    lines = [["Variable", "Flag", "Allowed", "Default", "Meaning"], ["---"] * 5]
    for name, field in Settings.model_fields.items():
        variable, flag = f"`SINE_{name.upper()}`", f"`--{name.replace('_', '-')}`"
        lines.append([variable, flag, allowed(name), _default(field.default), " ".join(str(field.description).split())])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _default(value: object) -> str:
    match value:
        case None:
            return "not set"
        case bool():
            return f"`{str(value).lower()}`"
        case Path():
            return f"`{value.relative_to(ROOT)}`"
    return f"`{value}`"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    argparse.ArgumentParser(prog="python -m benchmarks.configuration", description=__doc__).parse_args(arguments)
    PAGE.write_text(configuration_page(), "utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
