"""Reproducible artifacts: equal trainings give equal bytes."""

import io
import itertools
import zipfile


def reproducible(content: bytes) -> bytes:
    """Remove from a TorchScript archive everything that differs between runs or machines and has no meaning.

    `.debug_pkl` entries hold the source paths of the machine that trained the model, which must not be published.
    TorchScript writes a class's constants in the order of a Python set, which differs between processes. It also hashes
    that order into a serialisation id.
    """
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(kept, "w") as target:
        for entry in source.infolist():
            if entry.filename.endswith((".debug_pkl", "/serialization_id")):
                continue
            data = source.read(entry)
            target.writestr(entry, _with_sorted_constants(data) if entry.filename.endswith(".py") else data)
    return kept.getvalue()


def _with_sorted_constants(code: bytes) -> bytes:
    runs = itertools.groupby(code.splitlines(keepends=True), key=lambda line: b" : Final[" in line)
    return b"".join(line for constants, run in runs for line in (sorted(run) if constants else run))
