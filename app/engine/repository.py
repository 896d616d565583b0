"""The models in service: each by its name, and a default for requests that name none.

A `Repository` never changes. A reload (`app/engine/reload.py`) replaces it in the application's state, in one
assignment. A request, a stream or a connection keeps the model that it began with. When the last of them ends, nothing
refers to a model that is no longer in service, and its thread and its memory are released.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from app.engine.forecaster import Forecaster
from app.errors import UnknownModel
from app.schemas import ModelInfo
from app.telemetry.inference import InferenceCounters
from app.telemetry.metrics import Misfits
from model.artifact import ArtifactError
from model.fit import Expectation, Fit, fit_of, fits
from model.intervals import Intervals
from model.runtime.base import State

FOR = {"sine": "sine waves", "prior": "series of any kind"}
"""The sequences that a model is for, by the kind of its training data."""


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model in service."""

    path: Path
    """The file of its artifact, or the folder that holds it, as the settings name it."""

    info: ModelInfo
    forecaster: Forecaster
    """It has a thread and an admission of its own, so that work for one model does not delay work for another."""

    intervals: Intervals | None
    """None where the model has no prediction intervals."""

    inference: InferenceCounters
    """Counts its requests of the Open Inference Protocol."""

    misfits: Misfits
    """Counts its forecasts with a warning."""

    alias: str | None = None
    """A second name, which an operator has given it."""

    beside: dict[str, str] = field(default_factory=dict)
    """The other models of its repository, which its warnings name, and the sequences that each is for. A reload may
    change them. It holds no model, so that one that is no longer in service can go."""

    @cached_property
    def version(self) -> tuple[bytes, bytes]:
        """The header of its answers, such as `x-model-version: 1+f42d5008781f`.

        It has the model's version and the first digits of its digest, %-encoded where it has to be.
        """
        return b"x-model-version", f"{quote(self.info.version)}+{self.info.digest[:12]}".encode()

    @property
    def names(self) -> list[str]:
        """The names that requests may call it by."""
        return [self.info.name] if self.alias is None else [self.info.name, self.alias]

    @cached_property
    def is_seasonal(self) -> bool:
        """True if its forecasts depend on the season of a sequence."""
        return self.info.architecture.inputs == "anchors"

    @cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """Return the residuals of held-out sequences, the longest context first."""
        return self.info.fit.expectations if self.info.fit else ()

    def fits(self, state: State) -> bool:
        """Return whether the model fits the sequence before a state, or whether that is not known."""
        return fits(self.expectations, state)

    def fit(self, state: State) -> Fit | None:
        """Return the fit of the model to the sequence before a state; None if it is not known."""
        return fit_of(self.expectations, state)

    def warning(self, fit: Fit) -> str:
        """Return the warning about a forecast for a sequence that does not fit, and count it."""
        self.misfits.add(fit.ratio)
        times = f"{fit.ratio:,.0f}" if fit.ratio >= 10 else f"{fit.ratio:.1f}"
        return (
            f"the sequence is not of the kind that {self.info.name} was trained for: the model missed the last "
            f"{fit.values} values by {times} times what noise explains, so the forecast may be far off{self._instead()}"
        )

    def _instead(self) -> str:
        """Return the part of a warning that names the models for other sequences, empty if there are none."""
        others = [f"{name} is for {sequences}" for name, sequences in self.beside.items()]
        return f"; of the models here, {' and '.join(others)}" if others else ""


class Repository:
    """The models in service. Immutable."""

    def __init__(self, served: Sequence[ServedModel]) -> None:
        """The first model is the default. Raises ArtifactError where two have the same name, or alias."""
        self.default = served[0]
        for each in served:
            each.beside.clear()
            each.beside.update(_beside(each.info, served))
        self._by_name: dict[str, ServedModel] = {}
        for each in served:
            other = self._by_name.setdefault(each.info.name, each)
            if other is not each:
                raise ArtifactError(f"{other.path} and {each.path} both hold a model named '{each.info.name}'")
        self._called = dict(self._by_name)
        for each in served:
            for name in each.names:
                if (other := self._called.setdefault(name, each)) is not each:
                    raise ArtifactError(f"{other.path}: its model has the name '{name}' that SINE_MODEL_NAME gives")

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._by_name.values())

    def named(self, name: str | None) -> ServedModel:
        """The model of this name or alias, or the default for None. Raises UnknownModel if there is no such model."""
        served = self.default if name is None else self.find(name)
        if served is None:
            raise UnknownModel(self._called)
        return served

    def find(self, name: str) -> ServedModel | None:
        """The model of this name or alias; None if there is none."""
        return self._called.get(name)


def _beside(info: ModelInfo, served: Iterable[ServedModel]) -> Iterator[tuple[str, str]]:
    """Yield the name of each model that learned from another kind of data, and the sequences that it is for."""
    for other in served:
        kind = other.info.data.get("kind")
        if kind != info.data.get("kind") and kind in FOR:
            yield other.info.name, FOR[kind]
