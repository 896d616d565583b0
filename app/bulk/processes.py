"""Processes for parts of work. They end with the process that started them, however it ends."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait
from typing import Protocol, TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")

# Forks of a process that has imported everything: docs/decisions/forkserver.md. Apple's libraries are not fork-safe.
_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
_PRELOADED = ["app.bulk.part"]


class WorkerDied(Exception):
    """A worker process has ended before its work was done."""


class Each(Protocol):
    """Does the same with each of several things, and yields the results as they come, each with its number."""

    def __call__(
        self, function: Callable[[Given], Result], things: Sequence[Given], /
    ) -> Iterator[tuple[int, Result]]: ...


def prepare() -> None:
    """Begin to import what the processes need. The caller goes on, and needs it too, so both import side by side."""
    if _METHOD == "forkserver":
        forkserver.set_forkserver_preload(_PRELOADED)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller; the process inherits this
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def processes(count: int) -> Iterator[Each]:
    """Yield a function that spreads work over so many processes. A single one is this process.

    The first error of a thing is raised, and nothing more is begun after it. WorkerDied stands for a process that was
    killed.
    """
    if count == 1:
        yield _in_turn
        return
    context = multiprocessing.get_context(_METHOD)
    prepare()
    before = multiprocessing.active_children()
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin)

    def each(function: Callable[[Given], Result], things: Sequence[Given]) -> Iterator[tuple[int, Result]]:
        try:
            numbers = {pool.submit(function, thing): number for number, thing in enumerate(things)}
        except (OSError, EOFError) as error:  # the process that makes the workers has ended
            raise BrokenProcessPool from error
        for future in as_completed(numbers):
            yield numbers[future], future.result()

    try:
        yield each
    except BrokenProcessPool:
        why = "a worker process has ended before its part was done: it was killed, or there was too little memory"
        raise WorkerDied(f"{why}. Run the same command again, and it goes on where this one ended") from None
    finally:
        # A worker that was killed may have held the lock that the others need to end. So nobody waits for them.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            if process not in before:
                process.terminate()


def _in_turn(function: Callable[[Given], Result], things: Sequence[Given]) -> Iterator[tuple[int, Result]]:
    for number, thing in enumerate(things):
        yield number, function(thing)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end when the parent has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
