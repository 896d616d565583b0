"""Tests that the files and modules that the repository names exist. Strings, comments and pages go stale easily."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.server import ROOT

PACKAGES = ("app", "model", "training", "benchmarks", "tests")
FOLDERS = (*PACKAGES, "client", "docs", "deploy", ".ci", ".github")
SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".conf", ".js", ".html", ".css", ".c", ".txt"}
NAMES = {"Dockerfile", "Makefile", ".dockerignore", ".gitattributes", ".editorconfig", "run"}

FOLDER = "|".join(map(re.escape, FOLDERS))
PATH = re.compile(rf"(?<![\w./-])(?:{FOLDER})/[\w./*-]*\.[a-z0-9]+\b")
NAME = re.compile(r"`([\w-]+\.(?:py|md|toml|yml|js))`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
COMMAND = re.compile(rf"-m ((?:{'|'.join(PACKAGES)})(?:\.\w+)*)\b(?!/)")
MODULE = re.compile(rf"[\"']((?:{'|'.join(PACKAGES)})(?:\.\w+)+(?::\w+)?)[\"']")

NO_MODULES = {"app.access", "model.pt"}
"""Strings in the form of a module's name that name a logger and a file."""


@cache
def texts() -> dict[Path, str]:
    """Return the text of each file of this project except this one, by its path."""
    files = [*ROOT.iterdir(), *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))]
    return {
        file: file.read_text("utf-8")
        for file in files
        if (file.suffix in SUFFIXES or file.name in NAMES)
        and file.is_file()
        and "vendor" not in file.parts
        and file != Path(__file__)
    }


def found(pattern: re.Pattern[str], *suffixes: str) -> Iterator[tuple[Path, re.Match[str]]]:
    """Yield each match in the files with these suffixes, or in all files, together with its file."""
    for file, text in texts().items():
        if not suffixes or file.suffix in suffixes:
            yield from ((file, match) for match in pattern.finditer(text))


def exists(name: str) -> bool:
    """Tell whether a dotted name is a module, or begins with a module that defines its next part. Import nothing."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count])
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if source.exists():
            return count == len(parts) or parts[count] in defined(source)
    return False


def defined(source: Path) -> set[str]:
    """Return the names that a module binds at its top level."""
    names: set[str] = set()
    for node in ast.parse(source.read_text("utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            case ast.Assign() | ast.AnnAssign():
                names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names


def test_every_path_that_is_named_exists() -> None:
    named = list(found(PATH))
    assert len(named) > 150
    assert [f"{file.relative_to(ROOT)}: {path[0]}" for file, path in named if not any(ROOT.glob(path[0]))] == []


def test_every_file_that_is_named_without_a_folder_exists() -> None:
    named, names = list(found(NAME)), {file.name for file in texts()}
    assert len(named) > 20
    assert [f"{file.relative_to(ROOT)}: {name[1]}" for file, name in named if name[1] not in names] == []


def test_every_link_of_a_page_leads_to_a_file() -> None:
    links = list(found(LINK, ".md"))
    assert len(links) > 20
    assert [
        f"{file.relative_to(ROOT)}: {link[1]}" for file, link in links if not (file.parent / link[1]).exists()
    ] == []


def test_every_module_that_a_command_names_exists() -> None:
    commands = list(found(COMMAND))
    assert len(commands) > 50
    assert [f"{file.relative_to(ROOT)}: {command[1]}" for file, command in commands if not exists(command[1])] == []


def test_every_module_that_a_string_names_exists() -> None:
    strings = [(file, string[1]) for file, string in found(MODULE, ".py", ".toml") if string[1] not in NO_MODULES]
    assert len(strings) > 20
    assert [f"{file.relative_to(ROOT)}: {name}" for file, name in strings if not exists(name.replace(":", "."))] == []


def test_names_are_told_apart() -> None:
    for name in ["app", "app.keys", "app.keys.read_keys", "model.runtime.kernel.numba.njit"]:
        assert exists(name), name
    for name in ["nothing", "app.nothing", "app.keys.nothing", "model.runtime.nothing.njit"]:
        assert not exists(name), name
