"""Equal bytes from equal trainings: what TorchScript writes, less what differs for no reason."""

import io
import itertools
import zipfile


def reproducible(content: bytes) -> bytes:
    """The archive less what differs from run to run, or from machine to machine, and means nothing.

    `.debug_pkl` entries hold source paths of whoever trained, which no one should get. TorchScript writes a class's
    constants in the order of a Python set, which is another in each process, and hashes that into a serialisation id.
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
