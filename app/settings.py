"""The service's settings: environment variables `SINE_*`, or the flags of `python -m app`, which win."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.keys import read_keys
from model import DEFAULT_ARTIFACT

_PREFIX = "SINE_"

_origins = re.compile(r"\*|https?://[^/,\s*]+(?:,https?://[^/,\s*]+)*").fullmatch
_digests = re.compile(r"[0-9a-f]{64}(?:,[0-9a-f]{64})*").fullmatch


class Settings(BaseSettings):
    """Serve the next value and the rollout of a recurrent network over HTTP.

    Every option is an environment variable too: --max-steps is SINE_MAX_STEPS.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        use_attribute_docstrings=True,
        cli_prog_name="python -m app",
        cli_kebab_case=True,
        cli_hide_none_type=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every interface."""

    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port; 0 for any free one, which the log then names."""

    model: Path = DEFAULT_ARTIFACT
    """The artifact to serve, with its .sha256 beside it."""

    model_sha256: str | None = None
    """Serve only an artifact with this digest; one of these, where there are several with commas between them."""

    models: Path | None = None
    """A folder of artifacts (*.pt) to serve as well, each by the name in it. `model` answers those who name none."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs. auto takes CUDA where there is one; cuda refuses to start where there is none."""

    engine: Literal["auto", "fused", "torchscript"] = "auto"
    """What executes the model. auto takes the fused kernel on a CPU, and TorchScript on CUDA."""

    max_sequence: int = Field(default=4096, ge=1, le=1_000_000)
    """The most values a sequence may have."""

    max_steps: int = Field(default=10_000, ge=1, le=10_000_000)
    """The most values a rollout may be asked for."""

    max_batch: int = Field(default=64, ge=1, le=10_000)
    """The most sequences that a request of the Open Inference Protocol may have."""

    timeout_s: float = Field(default=30, gt=0)
    """Seconds after which a request is given up; a request may ask for less."""

    max_pending_s: float = Field(default=0.025, gt=0)
    """Seconds of work that may stand before a request, beside three times its own; beyond, it is refused with 503."""

    receive_timeout_s: float = Field(default=30, gt=0)
    """Seconds that a client has to send a request as a whole, or to take something of an answer."""

    live_idle_s: float = Field(default=300, gt=0)
    """Seconds without a message after which a connection to /live is closed."""

    hot_path: bool = True
    """Answer /predict and /generate in front of FastAPI's routing, which does the same at less than half the speed."""

    http: Literal["edge", "uvicorn"] = "edge"
    """The HTTP implementation. `edge` is the project's own, on top of uvicorn's: fast, strict, with deadlines and load
    shedding. `uvicorn` is uvicorn's as it comes, which serves everything, slower and without those protections."""

    workers: int | None = Field(default=None, ge=1, le=1024)
    """Processes that serve. By default as many as the CPUs that the service may use, and 1 on CUDA."""

    grace_period_s: int = Field(default=20, ge=0)
    """Seconds that requests in flight have to finish after SIGTERM, and after the delay."""

    drain_delay_s: float = Field(default=0, ge=0, le=3600)
    """Seconds after SIGTERM in which /readyz says 503 and requests are still taken, for load balancers to notice."""

    api_keys: Path | None = None
    """File of keys, a line `name:sha256` for each: then who asks has to have one. `python -m app.keys` makes them."""

    admin_keys: Path | None = None
    """The same for /metrics and /admin, which no other key opens then. Without, there is no /admin."""

    steps_per_second: int | None = Field(default=None, ge=1)
    """Steps of the network a second that each owner of a key may ask for; needs api_keys."""

    burst_s: int = Field(default=10, ge=1, le=3600)
    """Seconds over which that is counted: in so many seconds, so many times steps_per_second may come at once."""

    cors_origins: str | None = None
    """Origins whose pages may ask, with commas between them; * for all. By default those of the service alone."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log lines that are written."""

    access_log: bool = True
    """Log a line for each request, at level info. It is a few per cent of what a small request costs."""

    log_format: Literal["auto", "json", "text"] = "auto"
    """How log lines are written. auto takes text on a terminal, and JSON everywhere else."""

    tracing: bool = False
    """Export OpenTelemetry traces as the OTEL_* variables say. Needs the extra `telemetry`; turns the hot path off."""

    @field_validator("api_keys", "admin_keys")
    @classmethod
    def _usable(cls, path: Path | None) -> Path | None:
        if path is not None:
            read_keys(path)
        return path

    @field_validator("steps_per_second")
    @classmethod
    def _has_keys(cls, steps: int | None, info: ValidationInfo) -> int | None:
        if steps is not None and info.data.get("api_keys") is None:
            raise ValueError("it is counted for each owner of a key, and SINE_API_KEYS is not set")
        return steps

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: str | None) -> str | None:
        if origins is not None and not _origins(origins):
            raise ValueError("either *, or origins as https://example.org, without a path, with commas between them")
        return origins

    @field_validator("model_sha256")
    @classmethod
    def _are_digests(cls, digests: str | None) -> str | None:
        if digests is not None and not _digests(digests.lower()):
            raise ValueError("64 hexadecimal digits, as sha256sum prints them; of several, with commas between them")
        return digests and digests.lower()

    @property
    def max_body_bytes(self) -> int:
        """What a request body, or a message on /live, may weigh.

        No way of writing a number that a client would choose takes 64 bytes, and no state token of a network that is
        meant for this service 64 KiB.
        """
        return 65_536 + 64 * self.max_sequence

    @property
    def max_batch_bytes(self) -> int:
        """The same for a batch: as much JSON, and behind it a full tensor of doubles."""
        return self.max_body_bytes + 8 * self.max_sequence * self.max_batch

    def as_environment(self) -> dict[str, str]:
        """The variables that make another process read these same settings."""
        return {_PREFIX + name.upper(): str(value) for name, value in self.model_dump().items() if value is not None}
