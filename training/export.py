"""Export of a network: the artifact is written aside, read back, checked against its golden rollouts, and put in place.

`python -m training export ARTIFACT` exports the weights of an artifact again, for the torch that is installed.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from pydantic import JsonValue, TypeAdapter
from tyro.conf import FlagCreatePairsOff

from model.artifact import Artifact, ArtifactError, network_of, read_artifact, read_weights, save_artifact
from model.golden import make_golden
from model.metadata import Calibration, Fitting, Golden, Metadata
from model.runtime.check import GoldenMismatch, tolerance
from model.runtime.select import open_runtime
from training.calibration import calibrate
from training.checkpoint import learned_from
from training.checks import check_output
from training.config import PRESETS, Config
from training.data import EXAMPLES, Source, Waves
from training.loop import Trained
from training.prior.source import Prior
from training.record import Diverged

GOLDEN_LENGTHS = (1, 16, 64, 200)
GOLDEN_STEPS = 32
GOLDEN_SEASONS = {12: 120, 1: 64, 24: 200, 7: 16, 2: 1}
"""The seasons of an anchored network's golden rollouts, and the number of values given with each."""

# Paths say nothing about the model, and a path may name a machine or a person.
_NOT_ABOUT_THE_MODEL = {
    *("name", "version", "waves", "inputs"),  # the metadata have them elsewhere
    *("data", "column", "id", "time", "fill"),  # the metadata describe the data themselves
    *("output", "overwrite", "runs", "tensorboard", "resume"),
}


def export(trained: Trained, config: Config, source: Source, errors: Mapping[str, float]) -> Artifact:
    """Write the artifact aside, verify what was written, put it in the place of `config.artifact`, and return it.

    Raises:
        ArtifactError: the written file cannot be read back.
        Diverged: single precision does not reproduce the golden rollouts, because the weights amplify rounding errors.
        OutputError: another run has written to this path in the meantime.
    """
    seasons = GOLDEN_SEASONS if isinstance(source, Prior) else None
    golden = make_golden(trained.network, _golden_sequences(config, source), GOLDEN_STEPS, seasons)
    intervals, calibration, fitting = calibrate(trained.network, config, source)
    metadata = describe(trained, config, source, errors, calibration, fitting)
    check_overwrite(config, source)
    try:
        save_artifact(trained.network, metadata, golden, config.artifact, intervals, verify)
    except GoldenMismatch as error:
        raise Diverged(config, trained.best_epoch, "the network amplifies rounding errors") from error
    return read_artifact(config.artifact)


def verify(artifact: Artifact) -> None:
    """Raise ArtifactError unless the runtime that serves the artifact reproduces its golden rollouts."""
    open_runtime(artifact, "cpu")


def check_overwrite(config: Config, source: Source) -> None:
    """Raise OutputError if the artifact's path has the file of another run, unless the options say to replace it."""
    check_output(config.artifact, config.overwrite or (config.resume and _wrote(config, source)))


def _wrote(config: Config, source: Source) -> bool:
    """Tell whether a run of these settings and this data has written the artifact, perhaps before its last epoch."""
    try:
        about = read_artifact(config.artifact).metadata
    except ArtifactError:
        return False
    settings = {name: value for name, value in learned_from(config, source).items() if name in about.training}
    return (about.name, about.data, about.training | settings) == (config.name, source.description, about.training)


def describe(
    trained: Trained,
    config: Config,
    source: Source,
    errors: Mapping[str, float],
    calibration: Calibration | None,
    fitting: Fitting | None,
) -> Metadata:
    """Return the metadata of a model trained with `config`. They have no date, so equal runs give equal artifacts."""
    training = {key: value for key, value in dataclasses.asdict(config).items() if key not in _NOT_ABOUT_THE_MODEL}
    made = {
        "command": command(config),
        "loss": "absolute error and its logarithm" if config.inputs == "anchors" else "MSE",
        "optimizer": " and ".join(["Adam"] * (config.epochs > 0) + ["Levenberg-Marquardt"] * (config.finish > 0)),
        "epochs_done": len(trained.history),
        "best_epoch": trained.best_epoch,
    }
    return Metadata(
        name=config.name,
        version=config.version,
        architecture=config.architecture,
        normalisation="range",
        data=source.description,
        training=_json(training | made),
        errors=dict(errors),
        intervals=calibration,
        fit=fitting,
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
            if name not in _NOT_ABOUT_THE_MODEL - {"inputs"} | {"preset"} and value != vars(usual)[name]:
                options[prefix + name] = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return " ".join(["python -m training", *(f"--{name.replace('_', '-')} {text}" for name, text in options.items())])


def _golden_sequences(config: Config, source: Source) -> list[list[float]]:
    if isinstance(source, Prior):
        return [Prior(season).example(length) for season, length in GOLDEN_SEASONS.items()]
    if isinstance(source, Waves):
        pairs = [source.held_out(length, 1, 1, (EXAMPLES, length))[0] for length in GOLDEN_LENGTHS]
    else:
        pairs = [source.held_out(length, 1, 1)[0] for length in (1, config.context_evaluated)]
    return [[float(value) for value in x_T] for x_T, _ in pairs]


def _json(values: Mapping[str, object]) -> dict[str, JsonValue]:
    """Convert values to JSON's types: a tuple becomes a list."""
    adapter = TypeAdapter(dict[str, JsonValue])
    return adapter.validate_json(TypeAdapter(dict[str, object]).dump_json(dict(values)))


@dataclass(frozen=True)
class Export:
    """Export the weights of an artifact again, for the torch that is installed. Nothing is trained.

    The intervals and the metadata stay, except for the version of torch. The new golden rollouts must agree with the
    old ones.
    """

    artifact: tyro.conf.Positional[Path]
    """Path of the artifact. Any version of torch may have exported it."""

    output: Path | None = None
    """Path of the new artifact. By default it takes the place of the old one, after it has been verified."""

    overwrite: FlagCreatePairsOff[bool] = False
    """Replace another artifact at OUTPUT."""


def export_again(options: Export) -> None:
    """Write the artifact anew, and say where.

    Raises:
        ArtifactError: the artifact cannot be read, or the new golden rollouts do not agree with the old ones.
        OutputError: the output is not usable.
    """
    old = read_artifact(options.artifact)
    path = options.output or options.artifact
    check_output(path, options.overwrite or path.resolve() == options.artifact.resolve())
    about = old.metadata
    network = network_of(about)
    network.load_state_dict(read_weights(old))
    cases = old.golden.cases
    seasons = [case.season for case in cases]
    golden = make_golden(network, [case.sequence for case in cases], len(cases[0].values), seasons)
    _compare(about, old.golden, golden)
    metadata = about.model_copy(update={"torch_version": torch.__version__})
    digest = save_artifact(network, metadata, golden, path, old.intervals, verify)
    print(f"torch {torch.__version__} wrote {path} (sha256 {digest}), and torch {about.torch_version} the old artifact")


def _compare(about: Metadata, old: Golden, new: Golden) -> None:
    """Raise GoldenMismatch unless the new golden rollouts agree with the old ones within `tolerance`."""
    for number, (then, now) in enumerate(zip(old.cases, new.cases, strict=True)):
        scale = about.units(min(then.sequence), max(then.sequence)).scale or 1.0
        error_S = np.abs(np.subtract(then.values, now.values)) / scale
        if not np.all(error_S <= tolerance(len(error_S))):
            raise GoldenMismatch(
                f"golden rollout {number} of these weights is off by up to {np.max(error_S):.1e} of the scale from "
                "that of the old artifact: this code does not compute what the artifact's own did"
            )
