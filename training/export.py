"""From a trained network to an artifact that has been read back and has reproduced its golden rollouts."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime

import torch
from pydantic import JsonValue, TypeAdapter

from model.artifact import Artifact, read_artifact, save_artifact
from model.golden import make_golden
from model.metadata import Metadata
from model.runtime import open_runtime
from training.config import Config
from training.data import BANDS, HELD_OUT
from training.evaluate import REPORT, held_out
from training.loop import Trained

GOLDEN_LENGTHS = (1, 16, 64, 200)
GOLDEN_STEPS = 32

# Where files go says nothing about the model, and a path may name the machine or the person.
_NOT_ABOUT_THE_MODEL = {"name", "version", "waves", "output", "runs"}


def export(trained: Trained, config: Config, errors: Mapping[str, float]) -> Artifact:
    """Write the artifact to `config.output`, verify what was written, and return it.

    Raises:
        ArtifactError: what was written cannot be read back or does not reproduce its golden rollouts.
    """
    golden = make_golden(trained.network, _golden_sequences(config), GOLDEN_STEPS)
    save_artifact(trained.network, describe(trained, config, errors), golden, config.output)
    artifact = read_artifact(config.output)
    open_runtime(artifact, "cpu")
    return artifact


def describe(trained: Trained, config: Config, errors: Mapping[str, float]) -> Metadata:
    """The metadata of a model trained with `config`, with today's date (UTC)."""
    waves = dataclasses.asdict(config.waves)
    training = {key: value for key, value in dataclasses.asdict(config).items() if key not in _NOT_ABOUT_THE_MODEL}
    made = {
        "loss": "MSE",
        "optimizer": " and ".join(["Adam"] * (config.epochs > 0) + ["Levenberg-Marquardt"] * (config.finish > 0)),
        "epochs_done": len(trained.history),
        "best_epoch": trained.best_epoch,
    }
    return Metadata(
        name=config.name,
        version=config.version,
        architecture=config.architecture,
        data=_json(
            waves | {"kind": "sine", "held_out": f"the middle {HELD_OUT:.0%} of {BANDS} bands of period and phase"}
        ),
        training=_json(training | made),
        errors=dict(errors),
        torch_version=torch.__version__,
        created=datetime.now(UTC).date().isoformat(),
    )


def _golden_sequences(config: Config) -> list[list[float]]:
    sequences = []
    for seed, length in enumerate(GOLDEN_LENGTHS):
        x_T, _ = held_out(config.waves, length, 1, REPORT + 1 + seed, count=1)[0]
        sequences.append([float(value) for value in x_T])
    return sequences


def _json(values: Mapping[str, object]) -> dict[str, JsonValue]:
    """The same with JSON's types alone: a tuple becomes a list."""
    adapter = TypeAdapter(dict[str, JsonValue])
    return adapter.validate_json(TypeAdapter(dict[str, object]).dump_json(dict(values)))
