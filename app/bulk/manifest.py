"""The manifest of a run: what its output was made of. A run goes on only with what the manifest says.

Before anything is written, every part of the input is surveyed: its digest, and the ids of its series. Each series must
lie in one part. The ids are kept as numbers of 64 bits, so ten million of them take 80 MB.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from app.bulk.options import Options, WrongOption
from app.bulk.places import Places, published, series_of
from model.series.panel import first_rows
from model.series.table import Table, read_content, table_of


@dataclass(frozen=True)
class Survey:
    """A part of the input, as it was found."""

    digest: str
    """The sha256 of the file, hexadecimal."""

    id_B: npt.NDArray[np.uint64]
    """A hash of the id of each series. A part without ids is one series."""


def survey(path: Path, id: str | None) -> Survey:
    """Return the survey of a part whose column `id` names series. Without it, the part is one series.

    Raises:
        SeriesError: the part cannot be read, or the rows of a series are not together.
    """
    content = read_content(path)
    digest = hashlib.sha256(content).hexdigest()
    table = table_of(path, content, only=id)
    ids, _ = _series(table, id)
    return Survey(digest, ids.hash(seed=0).to_numpy())


def _series(table: Table, id: str | None) -> tuple[pl.Series, npt.NDArray[np.int64]]:
    """Return the id of each series as text, and its first row."""
    if id is None or id not in table.frame.columns:
        return pl.Series([series_of(table.path)]), np.zeros(1, np.int64)
    first_B = first_rows(table, id)[:-1]
    return table.frame[id].gather(first_B).cast(pl.String), first_B


def check_parts(paths: Sequence[Path], surveys: Sequence[Survey], id: str | None) -> None:
    """Raise SeriesError if a series lies in two parts."""
    id_N = np.concatenate([survey.id_B for survey in surveys])
    part_N = np.repeat(np.arange(len(surveys)), [len(survey.id_B) for survey in surveys])
    order_N = np.argsort(id_N, kind="stable")
    twice_N = np.flatnonzero(np.diff(id_N[order_N]) == 0)
    for first, second in {(int(part_N[order_N[n]]), int(part_N[order_N[n + 1]])) for n in twice_N.tolist()}:
        _check_two(paths[first], paths[second], id)


def _check_two(first: Path, second: Path, id: str | None) -> None:
    """Raise SeriesError if two parts share a series. Two ids may have the same hash."""
    tables = [table_of(path, read_content(path), only=id) for path in (first, second)]
    (ids, row_B), (others, other_row_B) = (_series(table, id) for table in tables)
    both = others.is_in(ids.implode())
    if both.any():
        at = int(both.arg_true()[0])
        row = tables[0].row(row_B[int((ids == others[at]).arg_true()[0])])
        why = f"series {others[at]!r} also lies in {first}, row {row}; a series has to lie in one part"
        raise tables[1].error(other_row_B[at], why)


def described(model: str, digest: str, options: Options, inputs: dict[str, str], output: str) -> dict[str, object]:
    """Return the manifest of a run. `inputs` has the digest of each part, and `output` is the name of a file.

    It is empty for a folder, which has a manifest of its own.
    """
    named = {"output": output} if output else {}
    return {"format": 1, "model": model, "model_sha256": digest, **options.described(), **named, "inputs": inputs}


def write_or_compare(places: Places, manifest: dict[str, object]) -> None:
    """Write the manifest of a new run, or compare it with that of the run that goes on.

    A manifest without any output is of a run that failed before its first part, and is replaced.

    Raises:
        WrongOption: the run before asked for something else, or there are files that no manifest tells of.
    """
    path, targets = places.manifest, [part.target for part in places.parts]
    there = next((target for target in targets if target.exists()), None)
    unknown = there or next((each for each in places.beside if each.exists()), None)
    before = _read(path)  # after the look at the files, because another shard writes the manifest before them
    if before is None:
        if unknown is not None:
            raise WrongOption(f"{unknown}: exists, and {path} does not say what it was made of; remove it")
    else:
        owner = before.setdefault("output", manifest.get("output"))
        if owner != manifest.get("output") and path.with_name(str(owner)).exists():
            raise WrongOption(f"{path}: tells of {path.with_name(str(owner))}; choose another name for OUT")
    if before is None or there is None:
        with published(path) as new:
            new.write_text(json.dumps(manifest, indent=1) + "\n")
        return
    other = [name for name in manifest if before.get(name) != manifest[name]]
    if other:
        changes = "; ".join(_change(name, before, manifest) for name in other)
        why = f"the output was begun with something else: {changes}"
        raise WrongOption(f"{path}: {why}. Choose another OUT, or remove the output and this file")


def _read(path: Path) -> dict[str, object] | None:
    """Return a manifest, or None if there is none. Raises WrongOption if the file is something else."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    if not isinstance(found, dict) or "model_sha256" not in found:
        raise WrongOption(f"{path}: is not a manifest; remove it and the output beside it, or choose another OUT")
    return found


def _change(name: str, before: dict[str, object], manifest: dict[str, object]) -> str:
    if name == "inputs":
        return "the files in IN have changed"
    return f"{name} was {before.get(name, 'missing')} and is {manifest[name]}"
