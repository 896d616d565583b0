"""How log lines look: JSON, or text on a terminal, the same for the service, uvicorn and all libraries.

They go to standard error. `app/telemetry/access_log.py` writes those of requests.
"""

import atexit
import logging
import sys
from http import HTTPStatus
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.orjson import OrjsonFormatter

from app.settings import Settings
from app.telemetry.access_log import AccessLog, in_a_moment, timestamp
from app.telemetry.context import current


class _Times(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """See `logging.Formatter.formatTime`."""
        return timestamp(record.created)


class Text(_Times):
    """For people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s")


class Json(_Times, OrjsonFormatter):
    """For machines: one object a line, with the id of the request that the line was written for, if there is one."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's message once more, for terminals
        )


def with_request(record: logging.LogRecord) -> bool:
    """Add the request that a line is written for."""
    if (context := current()) is not None:
        record.request_id = context.id.decode()
        if context.trace_id:
            record.trace_id = context.trace_id.decode()
    return True


def without_queries(record: logging.LogRecord) -> bool:
    """Leave out uvicorn's access lines of WebSockets, which hold the whole query."""
    return '"WebSocket %s"' not in str(record.msg)


def without_false_alarms(record: logging.LogRecord) -> bool:
    """Leave out what uvicorn says of a WebSocket that was refused with a response: it expects an acceptance."""
    answered = (context := current()) is not None and context.status != HTTPStatus.INTERNAL_SERVER_ERROR
    return not (answered and "without completing handshake" in str(record.msg))


def log_config(settings: Settings) -> dict[str, Any]:
    """For `logging.config.dictConfig`."""
    level = settings.log_level.upper()
    # At level debug, a WebSocket's head and messages would be lines of uvicorn's: keys, queries and values.
    uvicorns = "INFO" if level == "DEBUG" else level
    levels = {"app": level, "model": level, "uvicorn": uvicorns, "uvicorn.error": uvicorns}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": Json if _in_json(settings) else Text}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": [with_request, without_queries, without_false_alarms],
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {name: {"level": level} for name, level in levels.items()},
    }


def access_log(settings: Settings) -> AccessLog | None:
    """Where requests are logged, if they are."""
    if not settings.access_log or settings.log_level not in ("debug", "info"):
        return None
    log = AccessLog("json" if _in_json(settings) else "text", later=in_a_moment)
    atexit.register(log.flush)  # where the loop has ended before the moment was over
    return log


def _in_json(settings: Settings) -> bool:
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
