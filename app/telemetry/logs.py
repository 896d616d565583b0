"""The form of log lines: JSON, or text on a terminal. It is the same for the service, uvicorn and all libraries.

The lines go to standard error. `app/telemetry/access_log.py` writes those of requests.
"""

import atexit
import logging
import os
import sys
from http import HTTPStatus
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.orjson import OrjsonFormatter

from app.settings import Settings
from app.telemetry.access_log import AccessLog, timestamp
from app.telemetry.context import current


class Text(logging.Formatter):
    """Lines of the form `fmt`, for people."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return timestamp(record.created)


class Json(Text, OrjsonFormatter):
    """Lines for machines: one JSON object each, with the id of the current request, if there is one."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn repeats its message there, for terminals
        )


def with_request(record: logging.LogRecord) -> bool:
    """Add the ids of the current request and its trace to a record. Drop two lines of uvicorn about WebSockets."""
    message, answered = str(record.msg), False
    if (context := current()) is not None:
        answered = context.status != HTTPStatus.INTERNAL_SERVER_ERROR
        record.request_id = context.id.decode()
        if context.trace_id:
            record.trace_id = context.trace_id.decode()
    holds_query = '"WebSocket %s"' in message  # an access line with the whole query
    # uvicorn complains about a WebSocket that was refused with a response: it expects an acceptance.
    is_false_alarm = answered and "without completing handshake" in message
    return not (holds_query or is_false_alarm)


def log_config(settings: Settings) -> dict[str, Any]:
    """The configuration for `logging.config.dictConfig`."""
    text = {"()": Text, "fmt": "%(asctime)s %(levelname)-8s %(name)s: %(message)s"}
    level = settings.log_level.upper()
    # At level debug, uvicorn would log the head and the messages of a WebSocket: keys, queries and values.
    uvicorns = "INFO" if level == "DEBUG" else level
    levels = {"app": level, "model": level, "uvicorn": uvicorns, "uvicorn.error": uvicorns}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": Json} if _in_json(settings) else text},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": [with_request]},
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {name: {"level": level} for name, level in levels.items()},
    }


def access_log(settings: Settings) -> AccessLog | None:
    """The access log, or None where the settings want none."""
    if not settings.access_log or settings.log_level not in ("debug", "info"):
        return None
    log = AccessLog("json" if _in_json(settings) else "text")
    atexit.register(log.flush)  # the loop may end while lines wait
    return log


def drop_unwritten() -> None:
    """Drop log lines that cannot be written. Python would write them when it exits, and fail with status 120."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _in_json(settings: Settings) -> bool:
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
