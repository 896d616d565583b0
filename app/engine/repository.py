"""The models in service: each by its name, and one for the requests that name none.

A `Models` never changes. A reload (`app/engine/reload.py`) puts another one into the application's state, in one
assignment. A request, a stream or a connection holds on to the model that it began with; when the last of them has let
go of a model that is no longer in service, nothing holds it, and its thread and its memory go with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from app.engine.forecaster import Forecaster
from app.errors import UnknownModel
from app.schemas import ModelInfo
from app.telemetry.inference import InferenceCounters
from model.artifact import ArtifactError
from model.intervals import Intervals

VERSION_HEADER = b"x-model-version"


class SameName(ArtifactError):
    """Two artifacts have one name."""


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model in service."""

    path: Path
    """Its artifact."""

    info: ModelInfo
    forecaster: Forecaster
    """With a thread and an admission of its own: what waits for one model keeps nobody from another."""

    intervals: Intervals | None
    """None where the model has none."""

    inference: InferenceCounters
    """What the Open Inference Protocol has been asked of it."""

    version: tuple[bytes, bytes]
    """The header that its answers carry, such as `x-model-version: 1+f42d5008781f`."""


class Repository:
    """All that is served. Immutable."""

    def __init__(self, served: Sequence[ServedModel]) -> None:
        """The first of them is the default. Raises SameName where two have one name."""
        self.default = served[0]
        self._by_name: dict[str, ServedModel] = {}
        for each in served:
            other = self._by_name.setdefault(each.info.name, each)
            if other is not each:
                raise SameName(f"{other.path} and {each.path} both hold a model named '{each.info.name}'")

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._by_name.values())

    def named(self, name: str | None) -> ServedModel:
        """The model of this name; the default for None. Raises UnknownModel if there is none."""
        if name is None:
            return self.default
        found = self.find(name)
        if found is None:
            raise UnknownModel(self._by_name)
        return found

    def find(self, name: str) -> ServedModel | None:
        """The model of this name; None if there is none."""
        return self._by_name.get(name)


def version_header(info: ModelInfo) -> tuple[bytes, bytes]:
    """The model's version and the beginning of its digest. What a header cannot hold of a version is %-encoded."""
    return VERSION_HEADER, f"{quote(info.version)}+{info.digest[:12]}".encode()
