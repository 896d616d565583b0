"""The wire contract of the service, defined once for every peer whose framework lets it choose the contract."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e15, le=1e15)]
Values = Annotated[list[Number], Field(min_length=1, max_length=4096)]


class PredictRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sequence: Values


class GenerateRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sequence: Values
    steps: Annotated[int, Field(strict=True, ge=1, le=10_000)]


class PredictResponse(BaseModel):
    prediction: float


class GenerateResponse(BaseModel):
    values: list[float]
    finish_reason: str = "length"
