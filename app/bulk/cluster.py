"""Work on a Ray cluster: each thing is a task. Ray places it on a node, and on another one if the node is lost.

Ray places the work and carries no data: the task of a part reads its input and writes its output by itself. So every
node has this package, and finds the files of the run under the same paths. Nothing is lost or written twice with a
node, because the same task writes the same bytes and renames them into their place.
"""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from app.bulk.options import WrongOption
from app.bulk.processes import Each, WorkerDied

Given = TypeVar("Given")
Result = TypeVar("Result")

ADDRESS = "RAY_ADDRESS"
"""The environment variable that names a cluster. Ray reads it. Without it, Ray starts on this machine alone."""

_RETRIES = 10
"""A task begins again so often after its node, or its process, was lost."""


@contextmanager
def ray_tasks() -> Iterator[Each]:
    """Yield a function that spreads work over the cluster, a task for each thing and a core for each task.

    The first error of a thing is raised, and nothing more is begun after it. WorkerDied stands for a task that was lost
    again and again.

    Raises:
        WrongOption: Ray is not installed, or the cluster does not answer.
    """
    try:
        import ray
        from ray.exceptions import RayError, RayTaskError
    except ImportError:
        raise WrongOption("--engine ray: Ray is not installed: pip install '.[ray]'") from None
    _check_address(os.environ.get(ADDRESS, ""))
    variables = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}  # as in app/bulk/command.py
    try:
        ray.init(log_to_driver=False, logging_level="error", runtime_env={"env_vars": variables})
    except (ConnectionError, RayError) as error:
        where = os.environ.get(ADDRESS) or "this machine"
        raise WrongOption(f"--engine ray: no cluster answers at {where} ({ADDRESS})") from error

    def each(function: Callable[[Given], Result], things: Sequence[Given]) -> Iterator[tuple[int, Result]]:
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_call)
        numbers: dict[Any, int] = {task.remote(function, thing): number for number, thing in enumerate(things)}
        while numbers:
            (ready,), _ = ray.wait(list(numbers), num_returns=1)
            number = numbers.pop(ready)
            try:
                yield number, ray.get(ready)
            except RayTaskError as error:  # the task has raised an error of its own
                raise error.cause from None
            except RayError as error:
                why = f"a part was lost with its node or its process {_RETRIES + 1} times: {type(error).__name__}"
                raise WorkerDied(f"{why}. Run the same command again, and it goes on where this one ended") from None

    try:
        yield each
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise WrongOption if nobody listens at an address HOST:PORT. Ray would try for many minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in address and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise WrongOption(f"--engine ray: no cluster answers at {address} ({ADDRESS}): {error}") from error


def _call(function: Callable[[Given], Result], thing: Given) -> Result:
    return function(thing)
