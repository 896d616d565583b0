"""Models of your own series: `any` with fitted members, their runtime, and the calibration of their intervals.

Shape suffixes: N values of a series, O origins, S steps, B forecasts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.anchored import AnchoredNetwork
from model.artifact import Artifact, network_of, read_weights
from model.ensemble import EnsembleNetwork
from model.fit import FEWEST
from model.intervals import Intervals
from model.members.reference import MemberWeights
from model.metadata import Calibration, Fitting, Metadata
from model.network import Network
from model.runtime.anchored import AnchoredRuntime
from model.runtime.ensemble import EnsembleRuntime
from training.calibration import calibrated, covered
from training.data import Floats
from training.forecasts import Forecasts, anchored_forecasts
from training.own.backtest import Trial, evenly, fold_begins
from training.own.forecasters import LONGEST
from training.own.members import Choice, fit

CONTEXTS = (8, 16, 32, 64, 128, 256, 512)
"""Lengths of context that intervals are calibrated for, as far as the series allow. The last holds for longer ones."""

MOST_CALIBRATED = 200
"""Number of forecasts of each fold and context that calibrate, at most."""

FEWEST_CALIBRATED = 10


@dataclass(frozen=True)
class Model:
    """A network and the metadata that a runtime needs."""

    network: AnchoredNetwork | EnsembleNetwork
    about: Metadata

    @property
    def runtime(self) -> AnchoredRuntime:
        """Return the runtime of the network."""
        kind = EnsembleRuntime if isinstance(self.network, EnsembleNetwork) else AnchoredRuntime
        return kind(self.network, self.about)


def model_of(artifact: Artifact, weights: MemberWeights | None) -> Model:
    """Return the network of the artifact `any` with these members beside it, or alone."""
    members = weights.sizes if weights else None
    architecture = artifact.metadata.architecture.model_copy(update={"members": members})
    about = artifact.metadata.model_copy(update={"architecture": architecture, "intervals": None, "fit": None})
    network, trained = network_of(about), read_weights(artifact)
    if isinstance(network, Network):
        raise TypeError("members stand beside an anchored network alone")
    if isinstance(network, EnsembleNetwork) and weights:
        network.anchored.load_state_dict(trained)
        network.members.set_weights(weights)
    else:
        network.load_state_dict(trained)
    return Model(network.eval(), about)


def fitted_model(artifact: Artifact, choice: Choice | None, series: Iterable[Floats]) -> Model:
    """Return the model with the chosen members, fitted to series."""
    return model_of(artifact, fit(choice, series) if choice else None)


def calibrate(
    artifact: Artifact,
    choice: Choice | None,
    known: Sequence[Floats],
    season: int,
    horizon: int,
    watched: Callable[[Sequence[int]], Iterable[int]],
) -> tuple[Intervals, Calibration, Fitting] | None:
    """Return the intervals, their description without a coverage, and the fit. None if there are too few values.

    The forecasts that calibrate them begin in the two folds before the held-out part. The members of each fold have
    seen nothing after its beginning.

    Args:
        artifact: that of `any`.
        choice: the chosen members.
        known: the series without their held-out parts.
        season: their season.
        horizon: the number of steps that get intervals.
        watched: shows the progress over the folds.
    """
    by_context: dict[int, list[Forecasts]] = {}
    for fold in watched((0, 1)):
        usable = [
            (x_N, begins[fold], [len(x_N), *begins][fold])
            for x_N in known
            if fold < len(begins := fold_begins(len(x_N), horizon)) and begins[fold] >= FEWEST
        ]
        if not usable:
            continue
        model = fitted_model(artifact, choice, (x_N[:begin] for x_N, begin, _ in usable))
        at = [(x_N, origin) for x_N, begin, end in usable for origin in range(begin, end - horizon + 1)]
        for context in CONTEXTS:
            long = [(x_N, origin) for x_N, origin in at if origin >= context]
            if len(long) < 0.5 * len(at) or (context > FEWEST and len(long) < FEWEST_CALIBRATED):
                break
            longer = context == CONTEXTS[-1] or sum(o >= 2 * context for _, o in at) < 0.5 * len(at)
            rows = evenly(long, MOST_CALIBRATED)
            pasts = [(x_N[max(0, o - (LONGEST if longer else context)) : o], x_N[o : o + horizon]) for x_N, o in rows]
            by_context.setdefault(context, []).append(forecasts_of(model, pasts, season, context))
    merged = [merge(each) for each in by_context.values()]
    enough = [each for each in merged if len(each) >= FEWEST_CALIBRATED]
    return calibrated(enough, horizon, artifact.metadata.fit) if enough else None


def coverage_of(
    model: Model,
    calibration: tuple[Intervals, Calibration, Fitting],
    trials: Sequence[Trial],
    season: int,
    horizon: int,
) -> Calibration:
    """Return the description of the intervals, with their coverage over the held-out part."""
    intervals, about, fitting = calibration
    pairs = [(one.x_N[max(0, o - LONGEST) : o], one.x_N[o : o + horizon]) for one in trials for o in one.origins]
    long = [(past_T, truth_S) for past_T, truth_S in pairs if len(past_T) >= about.contexts[-1]]
    each = forecasts_of(model, long, season, about.contexts[-1])
    return about.model_copy(update={"coverage": covered(intervals, fitting, each, "all") if len(each) else []})


def forecasts_of(model: Model, pairs: Sequence[tuple[Floats, Floats]], season: int, context: int) -> Forecasts:
    """Return forecasts of values given and the values after them. Constant values are left out."""
    rows = ((past_T.tolist(), truth_S, season) for past_T, truth_S in pairs)
    return anchored_forecasts(model.runtime, context, rows)


def merge(parts: Sequence[Forecasts]) -> Forecasts:
    """Return the forecasts of all parts, which have the same context."""
    names = ("snr_B", "error_BS", "scale_B", "residual_B", "noise_B", "later_B")
    arrays: Mapping[str, Floats] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Forecasts(parts[0].context, **arrays)
