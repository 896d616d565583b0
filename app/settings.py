"""The settings of the service are environment variables `SINE_*` and flags of `python -m app`; a flag wins."""

import re
from importlib.util import find_spec
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.keys import read_keys
from model import DEFAULT_ARTIFACT

PREFIX = "SINE_"
"""The beginning of the name of every environment variable of the service."""


class Settings(BaseSettings):
    """Serve the next value and the rollout of a recurrent network over HTTP.

    Each option has an environment variable: --max-steps is SINE_MAX_STEPS. The option wins over the variable.
    `python -m app check ARTIFACT` verifies an artifact and describes it; `python -m app --reload` starts the service
    anew after each change of its code.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        use_attribute_docstrings=True,
        cli_prog_name="python -m app",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_exit_on_error=False,
    )

    host: str = "127.0.0.1"
    """`SINE_HOST` is the address that the service listens on, or a name of it. 0.0.0.0 stands for every interface, and
    :: for the same with IPv6."""

    port: int = Field(default=8000, ge=0, le=65535)
    """`SINE_PORT` is the TCP port, 0 to 65535. With 0 the system chooses a free port, and the log names it."""

    http: Literal["edge", "uvicorn"] = "edge"
    """`SINE_HTTP` chooses the HTTP implementation. `edge` is this project's subclass of uvicorn's protocol: it is fast
    and strict, has deadlines and sheds load. `uvicorn` is uvicorn's protocol as it comes: it serves everything, slower
    and without those protections."""

    model: Path = DEFAULT_ARTIFACT
    """`SINE_MODEL` is the artifact to serve, or a folder that holds one artifact (*.pt). The digest of an artifact
    stands beside it, in a file that ends in .sha256."""

    model_name: str | None = None
    """`SINE_MODEL_NAME` is a second name of the model of `SINE_MODEL`. Requests may use it like the name in the
    model's metadata."""

    model_sha256: str | None = None
    """`SINE_MODEL_SHA256` pins the SHA-256 digest of the artifact. Commas separate several digests, and an artifact
    with any other digest is refused. It holds for all models that are served."""

    models: Path | None = None
    """`SINE_MODELS` is a folder of further artifacts (*.pt). The service serves each by the name in its metadata. A
    request that names no model gets the one of `SINE_MODEL`. Without either of the two, all models that ship are
    served, and `sine` is the default."""

    max_models: int = Field(default=64, ge=1, le=10_000)
    """`SINE_MAX_MODELS` limits the number of models, 1 to 10,000. A model whose file has gone counts until the service
    is restarted, because the metrics keep its counts. Each model takes a thread and 72 bytes of shared memory in each
    worker, beside its own memory."""

    reload_interval_s: float | None = Field(default=None, gt=0)
    """`SINE_RELOAD_INTERVAL_S` is the number of seconds between two looks at the files of the models. A change starts a
    reload, as SIGHUP does. By default, nobody looks."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`SINE_DEVICE` chooses where the model runs. `auto` takes CUDA if there is a CUDA device; `cuda` refuses to start
    without one."""

    engine: Literal["auto", "fused", "torchscript"] = "auto"
    """`SINE_ENGINE` chooses what executes the model. `auto` takes the fused kernel, or TorchScript where the kernel
    cannot be compiled, which the log then says."""

    max_sequence: int = Field(default=4096, ge=1, le=1_000_000)
    """`SINE_MAX_SEQUENCE` limits the length of a sequence, in values, 1 to 1,000,000."""

    max_steps: int = Field(default=10_000, ge=1, le=10_000_000)
    """`SINE_MAX_STEPS` limits the length of a rollout, in values, 1 to 10,000,000."""

    max_batch: int = Field(default=64, ge=1, le=10_000)
    """`SINE_MAX_BATCH` limits the number of sequences in one request of the Open Inference Protocol, of /forecast and
    of KServe's protocol for time series, 1 to 10,000. On CUDA, it also limits the number of requests that the card
    computes together."""

    timeout_s: float = Field(default=30, gt=0)
    """`SINE_TIMEOUT_S` is the deadline of a request in seconds, above 0. A request can ask for less."""

    max_pending_s: float = Field(default=0.025, gt=0)
    """`SINE_MAX_PENDING_S` limits the work queued ahead of a request: that many seconds plus three times the request's
    own cost. The service refuses a request beyond that with 503."""

    receive_timeout_s: float = Field(default=30, gt=0)
    """`SINE_RECEIVE_TIMEOUT_S` is the number of seconds in which a client must send a whole request. A client must also
    read some part of an answer within that time."""

    live_idle_s: float = Field(default=300, gt=0)
    """`SINE_LIVE_IDLE_S` is the number of seconds without a message after which the service closes a connection to
    /live."""

    hot_path: bool = True
    """`SINE_HOT_PATH` puts a fast path for /predict and /generate in front of FastAPI's routing. Without it, the
    routing gives the same answers at less than half the speed."""

    workers: int | None = Field(default=None, ge=1, le=1024)
    """`SINE_WORKERS` is the number of processes that serve, 1 to 1024. The default is one for each CPU that the service
    may use, and 1 on CUDA."""

    grace_period_s: int = Field(default=20, ge=0)
    """`SINE_GRACE_PERIOD_S` is the number of seconds that requests in flight have to finish after SIGTERM. They begin
    after the delay of `SINE_DRAIN_DELAY_S`."""

    drain_delay_s: float = Field(default=0, ge=0, le=3600)
    """`SINE_DRAIN_DELAY_S` is the number of seconds after SIGTERM, 0 to 3600, in which the service still takes
    requests. Its /readyz says 503 meanwhile, so that load balancers can notice."""

    api_keys: Path | None = None
    """`SINE_API_KEYS` is a file with the keys that clients must show, one line `name:sha256` for each. The command
    `python -m app.keys` makes such a line. Without a file, the service asks for no key."""

    admin_keys: Path | None = None
    """`SINE_ADMIN_KEYS` is a file of the same form for /metrics and /admin. No other key opens these two. Without a
    file, /metrics is like any other endpoint, and /admin does not exist."""

    steps_per_second: int | None = Field(default=None, ge=1)
    """`SINE_STEPS_PER_SECOND` limits the work of each owner of a key, in steps of the network a second. It needs
    `SINE_API_KEYS`. By default there is no limit."""

    burst_s: int = Field(default=10, ge=1, le=3600)
    """`SINE_BURST_S` is the window in seconds, 1 to 3600, over which `SINE_STEPS_PER_SECOND` is counted. An owner can
    spend the steps of a whole window at once."""

    cors_origins: str | None = None
    """`SINE_CORS_ORIGINS` lists the origins whose web pages may call the service, with commas between them; * allows
    all. By default only the service's own pages may."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """`SINE_LOG_LEVEL` is the lowest severity of the log lines that the service writes."""

    access_log: bool = True
    """`SINE_ACCESS_LOG` logs one line for each request, at level info. It takes a few per cent of the cost of a small
    request."""

    log_format: Literal["auto", "json", "text"] = "auto"
    """`SINE_LOG_FORMAT` chooses the form of the log lines. `auto` takes text on a terminal and JSON everywhere else."""

    tracing: bool = False
    """`SINE_TRACING` exports OpenTelemetry traces as the OTEL_* variables say. It needs the extra `telemetry`, and
    turns the hot path off."""

    @field_validator("host")
    @classmethod
    def _is_host(cls, host: str) -> str:
        try:
            IPv6Address(host)
        except AddressValueError:
            if not re.fullmatch(r"[\w.-]+", host):
                raise ValueError(
                    "it has to be an address or a name of this machine, without a scheme, brackets or a port"
                ) from None
        return host

    @field_validator("model_name")
    @classmethod
    def _is_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", name):
            raise ValueError("it has to be 1 to 253 letters, digits or ._-, with a letter or a digit first")
        return name

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
        if origins is not None and not re.fullmatch(r"\*|https?://[^/,\s*]+(?:,https?://[^/,\s*]+)*", origins):
            raise ValueError(
                "it has to be either *, or origins like https://example.org, without a path, with commas between them"
            )
        return origins

    @field_validator("model_sha256")
    @classmethod
    def _are_digests(cls, digests: str | None) -> str | None:
        if digests is not None and not re.fullmatch(r"[0-9a-f]{64}(?:,[0-9a-f]{64})*", digests.lower()):
            raise ValueError(
                "it has to be 64 hexadecimal digits, as sha256sum prints them, or several such digests with commas "
                "between them"
            )
        return digests and digests.lower()

    @field_validator("tracing")
    @classmethod
    def _can_trace(cls, tracing: bool) -> bool:
        if tracing and find_spec("opentelemetry.exporter") is None:
            raise ValueError("the packages that export traces are missing: pip install '.[telemetry]'")
        return tracing

    @property
    def max_body_bytes(self) -> int:
        """The limit in bytes of a request body, and of a message on /live.

        It allows 64 bytes for each number and 64 KiB for a state token. No sensible notation of a number is that long,
        and no state token of a network for this service is that large.
        """
        return 65_536 + 64 * self.max_sequence

    @property
    def max_batch_bytes(self) -> int:
        """The limit in bytes of the body of a batch: as much JSON, followed by a full tensor of doubles."""
        return self.max_body_bytes + 8 * self.max_sequence * self.max_batch

    def as_environment(self) -> dict[str, str]:
        """Return the environment variables from which another process reads the same settings."""
        return {PREFIX + name.upper(): str(value) for name, value in self.model_dump().items() if value is not None}
