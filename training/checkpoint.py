"""The checkpoint: the state of a run after an epoch, on disk. `--resume` continues from it with identical bits.

The seed and the epoch determine the random generators of windows, noise and the waves of the finish. The state
therefore consists only of the weights, the optimiser's moments and a few numbers. It is one safetensors file: the
tensors, and the numbers as JSON in its header. Reading it runs no code.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.config import Config
from training.data import Source
from training.record import Best, Epoch, Run

FILE = "checkpoint.safetensors"

# These settings do not affect the weights: paths, displays, and what happens after training.
_NOT_LEARNED_FROM = {
    *("name", "version", "output", "overwrite", "runs", "tensorboard", "resume"),
    *("data", "column", "id", "time", "fill"),  # what they select is known by its digest
    *("season", "interval_rollouts", "interval_horizon", "interval_contexts"),
}


class CheckpointError(ValueError):
    """There is no checkpoint that the run could continue from; the message says why."""


def save(path: Path, run: Run, config: Config, source: Source) -> None:
    """Write the state of `run`. If the program is killed while it writes, the previous checkpoint stays intact."""
    best = run.record.best
    tensors = _named("network", run.network.state_dict()) | _named("best", best.weights)
    for number, moments in run.adam.state_dict()["state"].items():
        tensors |= _named(f"adam.{number}", moments)
    state = {
        "learned_from": learned_from(config, source),
        "history": [dataclasses.asdict(epoch) for epoch in run.record.history],
        "best": [best.error, best.epoch],
        "horizon": run.horizon,
        "finish": [run.stage, run.iterations, run.damping],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        save_file(tensors, partial, metadata={"state": json.dumps(state)})
        partial.replace(path)
    except SafetensorError as error:  # the disk may be full
        raise OSError(0, str(error), str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, run: Run, config: Config, source: Source) -> None:
    """Restore the saved state into `run`, which has just begun.

    Raises:
        CheckpointError: there is no checkpoint, or its settings or its data differ.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            state = json.loads(file.metadata()["state"])
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint to resume from: {path} does not exist") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be resumed from: {error}") from error
    now, then = learned_from(config, source), state["learned_from"]
    if other := [name for name in now if now[name] != then.get(name)]:
        raise CheckpointError(
            f"{path} belongs to a run with another {' and '.join(other)}; leave out --resume to begin a new run"
        )

    network = _unnamed("network", tensors)
    # The finish trains in double precision. `load_state_dict` converts to the module's precision, so set that first.
    run.network.to(next(iter(network.values())).dtype).load_state_dict(network)
    moments = {number: _unnamed(f"adam.{number}", tensors) for number in range(len(network))}
    used = {number: each for number, each in moments.items() if each}
    run.adam.load_state_dict(run.adam.state_dict() | {"state": used})
    run.record.history[:] = [Epoch(**epoch) for epoch in state["history"]]
    least, number = state["best"]
    run.record.best = Best(least, number, _unnamed("best", tensors))
    run.horizon = state["horizon"]
    run.stage, run.iterations, run.damping = state["finish"]


def learned_from(config: Config, source: Source) -> dict[str, object]:
    """Return the settings and the data that the weights depend on, by name, as JSON values."""
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in _NOT_LEARNED_FROM}
    learned = settings | {"data": source.description}
    return dict(json.loads(TypeAdapter(dict[str, object]).dump_json(learned)))


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor.contiguous() for name, tensor in tensors.items()}


def _unnamed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = prefix + "."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
