"""`python -m app`: read the settings, then serve."""

import os
import signal
import sys
from contextlib import suppress

import uvicorn
from pydantic import ValidationError
from pydantic_settings import CliApp
from uvicorn.config import STARTUP_FAILURE

from app.server.workers import Server, Supervisor, listeners, worker_count
from app.settings import Settings
from app.shared_memory.folders import shared_folders
from app.telemetry.logs import log_config

APPLICATION = "app.main:create_service"

PROTOCOLS = {
    "edge": ("app.server.http:HttpProtocol", "app.server.websocket:WebSocketProtocol"),
    "uvicorn": ("httptools", "websockets-sansio"),
}
"""The HTTP and the WebSocket protocol of each value of `SINE_HTTP`."""

HEADERS = [
    ("x-content-type-options", "nosniff"),  # browsers must not guess another type than JSON
    ("x-frame-options", "DENY"),  # no other page may put the documentation under its own buttons
]
"""Header fields of every response, which uvicorn keeps ready as bytes. `app/api/page.py` adds more for the page."""


def main() -> None:
    """Serve until SIGTERM or SIGINT. Wrong settings end with status 2, a model that cannot be served with 3."""
    try:
        settings = CliApp.run(Settings)
    except ValidationError as error:
        for entry in error.errors():
            name = "_".join(str(part) for part in entry["loc"]).upper()
            # Our own checks say what is allowed; what they refuse may be a key that is where its file should be.
            why = entry["ctx"]["error"] if entry["type"] == "value_error" else f"{entry['msg']}, not {entry['input']!r}"
            print(f"SINE_{name}: {why}", file=sys.stderr)
        sys.exit(2)
    # A SIGHUP during the start waits until the application can reload, which then unblocks it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # Uvicorn shuts down in order and then raises the signal again, for its caller: here that is a clean end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.environ.update(settings.as_environment())  # the application reads its settings where it is created
    with shared_folders():
        sys.exit(serve(settings, worker_count(settings)))


def serve(settings: Settings, workers: int) -> int:
    """Run the workers until they are told to stop, and return the status to end with."""
    http, websocket = PROTOCOLS[settings.http]
    config = uvicorn.Config(
        APPLICATION,
        factory=True,
        http=http,
        ws=websocket,
        host=settings.host,
        port=settings.port,
        workers=workers,
        log_config=log_config(settings),
        access_log=False,  # the application's own: app/telemetry/access_log.py
        server_header=False,
        headers=HEADERS,
        proxy_headers=False,  # nothing here looks at the client's address
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # a number is shorter than what compressing it would add
        timeout_graceful_shutdown=settings.grace_period_s,
    )
    if workers == 1:
        server = Server(config)
        with suppress(KeyboardInterrupt):
            server.run(listeners(config))
        return 0 if server.started else STARTUP_FAILURE
    return Supervisor(config, listeners(config)).run()


if __name__ == "__main__":
    main()
