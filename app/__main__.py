"""`python -m app`: read the settings, then serve."""

import os
import signal
import sys

import uvicorn
from pydantic import ValidationError
from pydantic_settings import CliApp

from app.settings import Settings
from app.workers import shared_metrics, worker_count


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
        uvicorn.run(
            "app.main:create_app",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=worker_count(settings),
            log_level=settings.log_level,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.grace_period_s,
        )


if __name__ == "__main__":
    main()
