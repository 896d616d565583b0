"""What the system says of a server's processes, and what it can take from them while they run."""

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def cpu_s(process: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(process: int) -> list[int]:
    """The descriptors that a process has open."""
    return sorted(int(path.name) for path in Path(f"/proc/{process}/fd").iterdir())


def size_bytes(process: int) -> int:
    """The address space of a process."""
    found = re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def variable(process: int, name: str) -> str:
    """What an environment variable was when a process started."""
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().split("=", 1) for entry in variables if b"=" in entry)[name]


def is_alive(process: int) -> bool:
    """Whether a process runs, and is not only waiting for its parent to take note of its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def limited(process: int, what: int, amount: int) -> Iterator[None]:
    """In the block, a process has no more than this of a resource (`resource.RLIMIT_…`)."""
    before = resource.prlimit(process, what)
    resource.prlimit(process, what, (amount, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it did not survive
            resource.prlimit(process, what, before)
