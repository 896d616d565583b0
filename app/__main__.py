"""`python -m app`: read the settings, then serve."""

import os
import signal
import sys
from contextlib import suppress

import uvicorn
from pydantic import ValidationError
from pydantic_settings import CliApp
from uvicorn.config import STARTUP_FAILURE

from app.protocol import Config
from app.settings import Settings
from app.telemetry.logs import log_config
from app.workers import Supervisor, shared_metrics, worker_count

PROTOCOL = "app.door:DoorProtocol"


def main() -> None:
    """Serve until SIGTERM or SIGINT. Wrong settings end with status 2, a model that cannot be served with 3."""
    try:
        settings = CliApp.run(Settings)
    except ValidationError as error:
        for entry in error.errors():
            name = "_".join(str(part) for part in entry["loc"]).upper()
            print(f"SINE_{name}: {entry['msg']}, not {entry['input']!r}", file=sys.stderr)
        sys.exit(2)
    # Uvicorn shuts down in order and then raises the signal again, for its caller: here that is a clean end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.environ.update(settings.as_environment())  # the application reads its settings where it is created
    with shared_metrics():
        sys.exit(serve(settings, worker_count(settings)))


def serve(settings: Settings, workers: int) -> int:
    """Run the workers until they are told to stop, and return the status to end with."""
    config = Config(
        "app.main:create_service",
        factory=True,
        http=PROTOCOL,
        host=settings.host,
        port=settings.port,
        workers=workers,
        log_config=log_config(settings),
        log_level=settings.log_level,
        access_log=False,  # the application's own: app/telemetry/access.py
        server_header=False,
        proxy_headers=False,  # nothing here looks at the client's address
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # a number is shorter than what compressing it would add
        timeout_graceful_shutdown=settings.grace_period_s,
    )
    config.receive_timeout_s = settings.receive_timeout_s
    if workers == 1:
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            server.run()
        return 0 if server.started else STARTUP_FAILURE
    # Not `uvicorn.run`, which ends with status 0 when its workers cannot start.
    supervisor = Supervisor(config, sockets=[config.bind_socket()])
    supervisor.run()
    return STARTUP_FAILURE if any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes) else 0


if __name__ == "__main__":
    main()
