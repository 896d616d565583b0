"""`python -m training --data FILE`: choose members, measure them, fit them again to everything, write the artifact.

A failure before the fit costs nothing. The artifact replaces an older one when it has been verified.
"""

import json
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from rich.console import Console
from rich.progress import Progress

from model.artifact import save_artifact
from model.golden import make_golden
from model.intervals import Intervals
from model.metadata import Metadata
from training.checks import check_output, only_run_in
from training.export import GOLDEN_STEPS, verify
from training.own.backtest import Errors, Forecaster, Trial, errors_of, evenly, forecasts
from training.own.choice import choose
from training.own.data import OwnSeries, read_own
from training.own.description import description, flat, golden_sequence, training, without_members
from training.own.fitting import Model, calibrate, coverage_of, fitted_model
from training.own.forecasters import any_series, served, simple
from training.own.members import usable
from training.own.options import Own
from training.own.picture import picture
from training.own.verdict import (
    MODEL,
    NAIVE,
    caution,
    counted,
    coverage_line,
    horizon_line,
    interval_caution,
    rank_line,
    season_line,
    sentence,
    table,
)
from training.report import ERRORS, ROLLOUT, save_figure
from training.series import HELD_OUT

Item = TypeVar("Item")


class Watch:
    """Shows the stages of a run: a progress bar on a terminal, otherwise a line for each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(console=console, disable=not console.is_terminal, transient=True)

    def __enter__(self) -> "Watch":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, stage: str, items: Sequence[Item]) -> Iterable[Item]:
        """Return the items, and show how many of them are done."""
        if not self._console.is_terminal:
            self._console.print(stage)
        return self._bar.track(items, description=stage)


def run(options: Own) -> int:
    """Fit, measure, write and judge a model. Return the exit status.

    Raises:
        ArtifactError: the model `any` cannot be used, or the written artifact cannot be served.
        ValueError: the file or an option is not usable.
    """
    console = Console(highlight=False)
    own = read_own(
        options.data, options.column, options.time, options.id, options.fill, options.season, options.horizon
    )
    with only_run_in(options.directory):
        check_output(options.artifact, options.overwrite)
        for note in own.notes:
            console.print(note, soft_wrap=True)
        with Watch(console) as watch:
            errors, about = _made(options, own, watch, console)
        total = sum(map(len, own.values.values()))
        console.print()
        trials = own.trials(options.origins)
        count = sum(len(one.origins) for one in trials)
        of = f"the last {HELD_OUT:.0%} of {len(trials)} series, {total:,} values"
        print(table(errors, f"{counted(count, 'forecast')} of {of}:"))
        console.print()
        for line in (
            season_line(own.season, own.found),
            horizon_line(own.horizon, own.season),
            coverage_line(about.intervals, own.known_values),
            rank_line(errors),
            *filter(None, [caution(count), interval_caution(about.intervals, count)]),
            sentence(errors, f"SINE_MODEL={options.artifact} make serve", own.season),
        ):
            console.print(line, soft_wrap=True)
    return 0


def _made(options: Own, own: OwnSeries, watch: Watch, console: Console) -> tuple[dict[str, Errors], Metadata]:
    """Fit and write the model. Return the errors by forecaster, and the metadata."""
    artifact, runtime = any_series()
    known, trials = own.known_values, own.trials(options.origins)
    (choices,) = [
        choose(known, own.season, own.horizon, served(runtime, own.season)) for _ in watch("choosing members", [0])
    ]
    choice = usable(choices, known)
    if choice is None:
        console.print(f"the model is any alone: {without_members(own, choices)}", soft_wrap=True)
    measured = fitted_model(artifact, choice, watch("fitting to what is before the held-out part", known))
    forecasters = {MODEL: served(measured.runtime, own.season), "any": served(runtime, own.told)}
    errors = measure(forecasters | simple(own.season), trials, own, watch)
    calibration = calibrate(
        artifact,
        choice,
        evenly(known, 200),
        own.season,
        own.horizon,
        lambda folds: watch("calibrating intervals", folds),
    )
    described = coverage_of(measured, calibration, trials, own.season, own.horizon) if calibration else None
    last, every = measured, list(own.values.values())
    if options.refit:
        refitted = usable(choices, every)
        if refitted is not choice:
            console.print(
                "the held-out part has values near zero or below, which have no logarithms: the written model is "
                + ("that of members that see the values" if refitted else "any alone"),
                soft_wrap=True,
            )
        choice, last = refitted, fitted_model(artifact, refitted, watch("fitting to everything", every))
    about = last.about.model_copy(
        update={
            "name": options.name,
            "version": options.version,
            "season": own.season,
            "data": description(own),
            "training": training(options, own, choice or without_members(own, choices)),
            "errors": flat(errors),
            "intervals": described,
            "fit": calibration[2] if calibration else None,
            "torch_version": torch.__version__,
        }
    )
    write(options, own, last, about, calibration[0] if calibration else None)
    (options.directory / ERRORS).write_text(json.dumps(flat(errors), indent=1) + "\n")
    if trials:
        save_figure(picture(trials[0], forecasters | simple(own.season), own.horizon), options.directory / ROLLOUT)
    say = "fitted to everything" if options.refit else "not fitted to the held-out part"
    console.print(f"wrote {options.artifact}, {say}, and the reports in {options.directory}/", soft_wrap=True)
    return errors, about


def measure(
    forecasters: dict[str, Forecaster], trials: Sequence[Trial], own: OwnSeries, watch: Watch
) -> dict[str, Errors]:
    """Return the errors of all forecasters over the held-out part."""
    made = {}
    for name, forecaster in forecasters.items():
        made[name] = forecasts(forecaster, watch(f"forecasting with {name}", trials), own.horizon)
    return {name: errors_of(trials, each, made[NAIVE], own.season) for name, each in made.items()}


def write(options: Own, own: OwnSeries, model: Model, about: Metadata, intervals: Intervals | None) -> None:
    """Write the artifact aside, verify it, and put it in its place."""
    members = about.architecture.members
    begins = members.values if members else 12
    sequences = [golden_sequence(length, own.season) for length in (1, begins - 1, begins + 40, 2 * begins + 40)]
    golden = make_golden(model.network, sequences, GOLDEN_STEPS, [own.season] * len(sequences))
    check_output(options.artifact, options.overwrite)
    save_artifact(model.network, about, golden, options.artifact, intervals, verify)
