"""A gate that a server's model thread passes at each turn, so that a test decides how long work lasts.

With an open gate the server behaves as usual. With a closed one no rollout ends on any machine, however fast.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from model.runtime.base import State
from model.runtime.fused import FusedRuntime
from model.runtime.torchscript import ScriptedRuntime

VARIABLE = "GATE"
"""The environment variable that names the gate's pipe to the server."""


class Gate:
    """The test's side of the gate: a named pipe, which is open while nobody can write to it."""

    def __init__(self, folder: Path) -> None:
        """Make the pipe in `folder`."""
        self.path = folder / "gate"
        os.mkfifo(self.path)

    @contextmanager
    def closed(self) -> Iterator[Callable[[int], object]]:
        """Close the gate in the block. The yielded function allows the model's thread a number of turns."""
        pipe = os.open(self.path, os.O_WRONLY)
        try:
            yield lambda turns: os.write(pipe, bytes(turns))
        finally:
            os.close(pipe)


def plant() -> None:
    """Put the gate before the rollouts of both runtimes in this process, except on the event loop's thread."""
    pipe = os.open(os.environ[VARIABLE], os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(pipe, True)
    for runtime in (FusedRuntime, ScriptedRuntime):
        _gate(runtime, pipe)


def _gate(runtime: type[FusedRuntime] | type[ScriptedRuntime], pipe: int) -> None:
    ungated = runtime.rollout

    def rollout(self: FusedRuntime | ScriptedRuntime, states: Sequence[State], steps: int) -> object:
        if threading.current_thread() is not threading.main_thread():
            os.read(pipe, 1)  # waits for a byte while the pipe has a writer, and returns at once while it has none
        return ungated(self, states, steps)  # type: ignore[arg-type]

    runtime.rollout = rollout  # type: ignore[assignment, method-assign]
