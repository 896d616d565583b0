"""Export of a trained network: the artifact is written, read back, and checked against its golden rollouts."""

import dataclasses
from collections.abc import Mapping

import torch
from pydantic import JsonValue, TypeAdapter

from model.artifact import Artifact, read_artifact, save_artifact
from model.golden import make_golden
from model.metadata import Calibration, Metadata
from model.runtime.select import open_runtime
from training.calibration import calibrate
from training.config import PRESETS, Config
from training.data import EXAMPLES, Source, Waves
from training.loop import Trained

GOLDEN_LENGTHS = (1, 16, 64, 200)
GOLDEN_STEPS = 32

# Paths say nothing about the model, and a path may name a machine or a person.
_NOT_ABOUT_THE_MODEL = {
    *(
        "name",
        "version",
        "waves",
        "data",
        "column",
        "time",
        "id",
    ),  # stored elsewhere in the metadata, or not about the network
    *("output", "runs", "tensorboard", "resume"),
}


def export(trained: Trained, config: Config, source: Source, errors: Mapping[str, float]) -> Artifact:
    """Write the artifact to `config.output`, verify what was written, and return it.

    Raises:
        ArtifactError: the written file cannot be read back or does not reproduce its golden rollouts.
    """
    golden = make_golden(trained.network, _golden_sequences(config, source), GOLDEN_STEPS)
    intervals, calibration = calibrate(trained.network, config, source)
    metadata = describe(trained, config, source, errors, calibration)
    save_artifact(trained.network, metadata, golden, config.output, intervals)
    artifact = read_artifact(config.output)
    open_runtime(artifact, "cpu")
    return artifact


def describe(
    trained: Trained, config: Config, source: Source, errors: Mapping[str, float], calibration: Calibration | None
) -> Metadata:
    """Return the metadata of a model trained with `config`. They have no date, so equal runs give equal artifacts."""
    training = {key: value for key, value in dataclasses.asdict(config).items() if key not in _NOT_ABOUT_THE_MODEL}
    made = {
        "command": command(config),
        "loss": "MSE",
        "optimizer": " and ".join(["Adam"] * (config.epochs > 0) + ["Levenberg-Marquardt"] * (config.finish > 0)),
        "epochs_done": len(trained.history),
        "best_epoch": trained.best_epoch,
    }
    return Metadata(
        name=config.name,
        version=config.version,
        architecture=config.architecture,
        normalisation="standard" if source.scale else "max_abs",
        offset=source.offset,
        scale=source.scale or None,
        data=source.description,
        training=_json(training | made),
        errors=dict(errors),
        intervals=calibration,
        torch_version=torch.__version__,
    )


def command(config: Config) -> str:
    """Return the command that trains such a model again: the preset, and the options that differ from it.

    The command names no files.
    """
    preset = PRESETS[config.preset]
    options: dict[str, str] = {"preset": config.preset} if config.preset != "default" else {}
    options |= {"data": "FILE"} if config.data is not None else {}
    for changed, usual, prefix in ((config, preset, ""), (config.waves, preset.waves, "waves.")):
        for name, value in vars(changed).items():
            if name not in _NOT_ABOUT_THE_MODEL | {"preset"} and value != vars(usual)[name]:
                options[prefix + name] = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return " ".join(["python -m training", *(f"--{name.replace('_', '-')} {text}" for name, text in options.items())])


def _golden_sequences(config: Config, source: Source) -> list[list[float]]:
    if isinstance(source, Waves):
        pairs = [source.held_out(length, 1, 1, (EXAMPLES, length))[0] for length in GOLDEN_LENGTHS]
    else:
        pairs = [source.held_out(length, 1, 1)[0] for length in (1, config.context_evaluated)]
    return [[float(value) for value in x_T] for x_T, _ in pairs]


def _json(values: Mapping[str, object]) -> dict[str, JsonValue]:
    """Convert values to JSON's types: a tuple becomes a list."""
    adapter = TypeAdapter(dict[str, JsonValue])
    return adapter.validate_json(TypeAdapter(dict[str, object]).dump_json(dict(values)))
