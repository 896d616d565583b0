"""Tests of the model repository: the version in an answer's header, and the paths of inference."""

from types import SimpleNamespace
from typing import Any

import pytest

from app.engine.repository import Repository, ServedModel
from app.errors import UnknownModel
from app.open_inference.inference import model_at
from app.schemas import ModelInfo
from model.artifact import ArtifactError
from model.metadata import Architecture


@pytest.mark.parametrize(
    ("version", "shown"),
    [("1", "1"), ("0.2.0-rc_1~2", "0.2.0-rc_1~2"), ("1 é", "1%20%C3%A9"), ("1\r\nx: y", "1%0D%0Ax%3A%20y")],
)
def test_a_header_can_hold_any_version(version: str, shown: str) -> None:
    served: dict[str, Any] = {
        "runtime": "fused",
        "runtime_reason": "",
        "device": "cpu",
        "digest": "0123456789abcdef" * 4,
        "example": {"sequence": [1.0], "season": 1},
    }
    about: dict[str, Any] = {"data": {}, "training": {}, "errors": {}, "torch_version": ""}
    info = ModelInfo(name="sine", version=version, architecture=Architecture(), **about, **served)
    unused: Any = None
    assert ServedModel(unused, info, unused, unused, unused, unused).version == (
        b"x-model-version",
        f"{shown}+0123456789ab".encode(),
    )


def served(name: str, *aliases: str) -> Any:
    """Return a model that has nothing but a name, and perhaps an alias."""
    about = SimpleNamespace(name=name, data={})
    return SimpleNamespace(info=about, names=[name, *aliases], path=f"{name}.pt", beside={})


def test_a_path_of_inference_leads_to_a_model() -> None:
    repository = Repository([served("a"), served("b.c-d")])
    for name in ("a", "b.c-d"):
        for path in (f"/v2/models/{name}/infer", f"/v2/models/{name}/versions/1/infer"):
            assert model_at(path, repository) is repository.named(name)
    for path in (
        *("/v2/models/c/infer", "/v2/models/a/versions/2/infer", "/v2/models/a", "/v2/models/a/infer/"),
        *("", "/v2/models//infer", "/v2/models/a/b/infer"),
    ):
        assert model_at(path, repository) is None


def test_an_alias_leads_to_its_model_and_is_named_among_those_that_are_served() -> None:
    first, second = served("a", "forecasts"), served("b")
    repository = Repository([first, second])
    assert repository.named("forecasts") is repository.find("forecasts") is first
    assert model_at("/v2/models/forecasts/infer", repository) is first
    assert [*repository] == [first, second]
    with pytest.raises(UnknownModel, match="'a', 'b', 'forecasts'"):
        repository.named("c")


def test_the_own_name_of_a_model_may_be_its_alias_and_that_of_another_may_not() -> None:
    assert Repository([served("a", "a"), served("b")]).default.info.name == "a"
    with pytest.raises(ArtifactError, match=r"b\.pt: its model has the name 'b' that SINE_MODEL_NAME gives"):
        Repository([served("a", "b"), served("b")])
