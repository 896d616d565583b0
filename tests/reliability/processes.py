"""Read facts about a server's processes from the system, and limit their resources while they run."""

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def cpu_s(process: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(process: int) -> list[int]:
    """Return the descriptors that a process has open."""
    return sorted(int(path.name) for path in Path(f"/proc/{process}/fd").iterdir())


def size_bytes(process: int) -> int:
    """Return the size of a process's address space."""
    found = re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def variable(process: int, name: str) -> str:
    """Return the value that an environment variable had when a process started."""
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().split("=", 1) for entry in variables if b"=" in entry)[name]


def is_alive(process: int) -> bool:
    """Tell whether a process runs, and is not a zombie that waits for its parent."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def limited(process: int, what: int, amount: int) -> Iterator[None]:
    """Limit a process in the block to this amount of a resource (`resource.RLIMIT_…`)."""
    before = resource.prlimit(process, what)
    resource.prlimit(process, what, (amount, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # the process did not survive
            resource.prlimit(process, what, before)
