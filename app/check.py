"""`python -m app check ARTIFACT`: verify an artifact as the service does before it serves, and describe it.

The status is 0 if the artifact can be served and fits its own example, 1 if not, and 2 for a wrong command line.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.engine.repository import FOR
from model.artifact import Artifact, ArtifactError, read_artifact
from model.fit import Fit, fit_of
from model.metadata import GoldenCase
from model.runtime.base import Runtime
from model.runtime.select import DeviceUnavailable, open_runtime


def check(arguments: Sequence[str]) -> int:
    """Check the artifact that the arguments of the command name, print what was found, and return the exit status."""
    logging.basicConfig(format="%(message)s")  # warnings, such as that of another version of torch
    path = _parser().parse_args(arguments).artifact
    try:
        artifact = read_artifact(path)
        opened = open_runtime(artifact, "cpu")
    except (ArtifactError, DeviceUnavailable) as error:
        text = str(error)
        print(f"FAILED    {text if str(path) in text else f'{path}: {text}'}")
        return 1
    example = artifact.golden.example
    fit = _fit(artifact, opened.runtime, example)
    for name, text in _description(artifact, path, opened.runtime, example, fit):
        print(f"{name:<10}{text}")
    return 0 if fit is None or fit.fits else 1


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m app check", description=__doc__, formatter_class=raw)
    parser.add_argument("artifact", metavar="ARTIFACT", type=Path, help="the file; its digest stands beside it")
    return parser


def _fit(artifact: Artifact, runtime: Runtime, example: GoldenCase) -> Fit | None:
    """Return the fit of the model to its example; None if it is not known."""
    (state,) = runtime.encode([example.sequence], [runtime.start(example.sequence, example.season)])
    calibrated = artifact.metadata.fit
    return fit_of(calibrated.expectations, state) if calibrated else None


def _description(
    artifact: Artifact, path: Path, runtime: Runtime, example: GoldenCase, fit: Fit | None
) -> Iterator[tuple[str, str]]:
    """Yield a name and a text for each line of the screen."""
    about, golden = artifact.metadata, artifact.golden
    architecture = about.architecture
    yield "model", f"{about.name} {about.version}"
    yield "for", FOR.get(str(about.data.get("kind")), "series like those that it was trained on")
    layers = f" in {architecture.layers} layers" if architecture.layers > 1 else ""
    inputs = " over anchors" if architecture.inputs == "anchors" else ""
    members = ", beside members fitted to the series" if architecture.members else ""
    yield "network", f"{architecture.cell} of {architecture.hidden} units{layers}{inputs}{members}"
    yield "weights", f"{architecture.parameters:,}"
    yield "digest", f"sha256 {artifact.digest[:12]}, as {path.name}.sha256 says"
    steps = max(len(case.values) for case in golden.cases)
    yield "golden", f"{len(golden.cases)} rollouts of {steps} values, reproduced by the {runtime.name} runtime"
    season = f" with season {example.season}" if example.season > 1 else ""
    yield "example", f"{len(example.sequence)} values{season}"
    if fit is None:
        yield "fit", "not calibrated: forecasts have no warnings"
    else:
        verdict = "it fits" if fit.fits else "FAILED: it does not fit its own example"
        yield "fit", f"the model missed the example by {fit.ratio:.2f} times the expected error: {verdict}"
    if (intervals := about.intervals) is None:
        yield "intervals", "none"
    else:
        yield "intervals", f"up to {intervals.horizon} steps, from {intervals.contexts[0]} values on"
    yield "torch", about.torch_version
