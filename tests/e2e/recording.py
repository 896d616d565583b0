"""Record the README's first commands as a terminal: python -m tests.e2e.recording writes an animated SVG."""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.e2e.test_readme import README, at
from tests.server import ROOT, Server, serve

PICTURE = ROOT / "docs" / "images" / "terminal.svg"

COLUMNS = 100
LINE_S = 0.12
"""Seconds from one line to the next."""

READ_S = 1.2
"""Seconds before a command, in which one reads the output of the one before."""

PLOT = "tail -n +2 sales.csv | cut -d, -f2 | .venv/bin/python -m sine_client generate --model any --steps 24 --plot"
"""The last command, which the README only names: not every font has its characters."""


def main() -> None:
    """Write the recording."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    commands_at: list[int] = []
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), workers=1) as server:
        for command in [*commands(), PLOT]:
            before = len(console.export_text(clear=False).splitlines())
            commands_at.append(before)
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")), soft_wrap=False)
            if printed := run(server, command, Path(folder)):
                console.print(Text.from_ansi(printed))
    PICTURE.write_text(animated(console.export_svg(title="A CSV to a forecast"), commands_at), "utf-8")
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size / 1000:.0f} kB")


def commands() -> list[str]:
    """Return the commands of the README's section about a CSV."""
    section = README.partition("\n## A CSV to a forecast\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\$ (.+)$", section, re.MULTILINE)
    assert found
    return found


def run(server: Server, command: str, folder: Path) -> str:
    """Return what a command prints."""
    here = at(server, command).replace(".venv/bin/python", sys.executable)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SINE_URL": server.url, "COLUMNS": "90"}
    ran = subprocess.run(["bash", "-c", here], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.rstrip("\n")


def animated(svg: str, commands_at: list[int]) -> str:
    """Return the picture with lines that appear one after the other. It needs no font from elsewhere."""
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    rules = [
        "text[clip-path] { animation: appear 1ms both }",
        "@keyframes appear { from { opacity: 0 } to { opacity: 1 } }",
        "@media (prefers-reduced-motion: reduce) { text[clip-path] { animation: none } }",
    ]
    delay_s = 0.0
    for number in range(1 + max(map(int, re.findall(r"line-(\d+)\)", svg)))):
        delay_s += READ_S if number in commands_at[1:] else LINE_S
        rules.append(f'text[clip-path$="line-{number})"] {{ animation-delay: {delay_s:.2f}s }}')
    return svg.replace("</style>", "\n".join(["", *rules, "</style>"]), 1)


if __name__ == "__main__":
    main()
