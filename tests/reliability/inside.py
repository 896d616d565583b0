"""Ask a process for facts that the system cannot give: its asyncio tasks, and its number of objects.

The service has no such code. Python imports `sitecustomize` at every start if it finds it, in workers too.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.waiting import wait_for

_TELLS = """
import asyncio, gc, json, os, signal
def _tell(*_):
    gc.collect()
    tasks = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    told = os.path.join(os.path.dirname(__file__), str(os.getpid()))
    with open(told + ".new", "w") as file:
        json.dump({"tasks": tasks, "objects": len(gc.get_objects())}, file)
    os.rename(told + ".new", told)
signal.signal(signal.SIGUSR1, _tell)
"""


class Inside(NamedTuple):
    """The tasks and objects in a process."""

    tasks: Counter[str]
    """The tasks that are not done, by the names of their coroutines."""

    objects: int
    """The number of objects that the garbage collector tracks after a collection, without those from the start."""


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """Let `inside` ask the processes that start in the block, by way of `folder`."""
    (folder / "sitecustomize.py").write_text(_TELLS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield


def inside(process: int, folder: Path) -> Inside:
    """Ask a process for its tasks and objects. Its event loop must run."""
    told = folder / str(process)
    told.unlink(missing_ok=True)
    os.kill(process, signal.SIGUSR1)
    wait_for("the process to tell", told.exists)
    said = json.loads(told.read_text())
    return Inside(Counter(said["tasks"]), said["objects"])
