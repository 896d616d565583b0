"""`python -m app`: read the settings, then serve.

`python -m app check ARTIFACT` verifies an artifact, and `python -m app --reload` serves while the code is changed.
"""

import atexit
import logging
import os
import signal
import sys
from contextlib import suppress
from functools import partial

import uvicorn
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError
from uvicorn.config import STARTUP_FAILURE

from app.server.startup import CannotStart, bind
from app.server.supervisor import Supervisor, worker_count
from app.server.workers import announce, serve
from app.settings import Settings
from app.shared_memory.folders import NoSharedFolder, shared_folders
from app.telemetry.logs import drop_unwritten, log_config
from app.variables import WrongVariable, allowed, check_variables, wrong_options

log = logging.getLogger("app")

APPLICATION = "app.main:start_service"

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
    """Serve until SIGTERM or SIGINT. Wrong settings end with status 2, and any other start that fails with 3."""
    if sys.argv[1:2] == ["check"]:
        from app.check import check  # which imports torch

        sys.exit(check(sys.argv[2:]))
    if "--reload" in sys.argv[1:]:
        from app.autoreload import serve_and_reload

        return serve_and_reload(sys.argv[1:])
    atexit.register(drop_unwritten)
    settings, warnings = read_settings()
    # A SIGHUP during the start waits until the application can reload, which then unblocks it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # Uvicorn shuts down in order and then raises the signal again, for its caller: here that is a clean end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.environ.update(settings.as_environment())  # the application reads its settings where it is created
    config = configuration(settings, worker_count(settings))
    for warning in warnings:
        log.warning("%s", warning)
    try:
        with shared_folders(), suppress(KeyboardInterrupt):
            run(config)
    except (CannotStart, NoSharedFolder) as error:
        log.error("The service cannot start: %s", error)
        sys.exit(STARTUP_FAILURE)


def read_settings() -> tuple[Settings, list[str]]:
    """Return the settings, and warnings of other variables. Wrong settings end the process with a line each.

    A line never repeats the wrong value, which may be a key in the wrong place.
    """
    try:
        settings = CliApp.run(Settings)
        return settings, check_variables(os.environ, settings)
    except ValidationError as error:
        for entry in error.errors():
            name = str(entry["loc"][0])
            why = entry["ctx"]["error"] if entry["type"] == "value_error" else f"it has to be {allowed(name)}"
            print(f"SINE_{name.upper()}: {why}", file=sys.stderr)
    except SettingsError:
        print(wrong_options(sys.argv[1:]), file=sys.stderr)
    except WrongVariable as error:
        print(error, file=sys.stderr)
    sys.exit(2)


def configuration(settings: Settings, workers: int) -> uvicorn.Config:
    """Return uvicorn's configuration. This also configures the logs of this process."""
    http, websocket = PROTOCOLS[settings.http]
    return uvicorn.Config(
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


def run(config: uvicorn.Config) -> None:
    """Run the workers until they are told to stop. Raises CannotStart."""
    listener = bind(config.host, config.port)
    if config.workers == 1:
        serve(config, listener, partial(announce, listener))
    else:
        Supervisor(config, listener).run()


if __name__ == "__main__":
    main()
