"""How an answer says which model it is of."""

from typing import Any

import pytest

from app.engine.repository import version_header
from app.schemas import ModelInfo
from model.metadata import Architecture


@pytest.mark.parametrize(
    ("version", "shown"),
    [("1", "1"), ("0.2.0-rc_1~2", "0.2.0-rc_1~2"), ("1 é", "1%20%C3%A9"), ("1\r\nx: y", "1%0D%0Ax%3A%20y")],
)
def test_whatever_a_version_is_a_header_can_hold_it(version: str, shown: str) -> None:
    served: dict[str, Any] = {
        "runtime": "fused",
        "runtime_reason": "",
        "device": "cpu",
        "digest": "0123456789abcdef" * 4,
    }
    about: dict[str, Any] = {"data": {}, "training": {}, "errors": {}, "torch_version": ""}
    info = ModelInfo(name="sine", version=version, architecture=Architecture(), **about, **served)
    assert version_header(info) == (b"x-model-version", f"{shown}+0123456789ab".encode())
