"""Checks the environment variables and options of a start, and explains wrong ones to the person who starts it."""

import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from app.settings import PREFIX, Settings
from app.shared_memory.folders import METRICS_FOLDER, RATES_FOLDER

_OF_CLIENT = ("SINE_API_KEY", "SINE_URL")
_OF_COMPOSE = (
    "SINE_DATA",
    "SINE_FOLDER",
    "SINE_GPU_PORT",
    "SINE_PROXY_PORT",
    "SINE_PROMETHEUS_PORT",
    "SINE_GRAFANA_PORT",
    "SINE_MEMORY",
    "SINE_USER",
)

_PROTECTING = ("SINE_API_KEYS", "SINE_ADMIN_KEYS", "SINE_MODEL_SHA256", "SINE_STEPS_PER_SECOND")
"""Settings that protect the service. Nobody notices that one of them is missing, before somebody makes use of it."""

_KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "text", Path: "a path"}
_BOUNDS = {"ge": "from", "gt": "above", "le": "to"}


class WrongVariable(Exception):
    """The service must not start with this environment. The message is one line."""


def check_variables(environment: Mapping[str, str], settings: Settings) -> list[str]:
    """Return warnings: of the variables SINE_… that nothing reads, and of a key where a file of keys is meant.

    Raises:
        WrongVariable: the name of such a variable is close to a setting that protects the service and is not set.
    """
    settings_names = [PREFIX + name.upper() for name in Settings.model_fields]
    known = {*settings_names, *_OF_CLIENT, *_OF_COMPOSE, METRICS_FOLDER, RATES_FOLDER}
    unknown = []
    for name, value in environment.items():
        if not name.upper().startswith(PREFIX) or name.upper() in known or not value:
            continue
        nearest = _nearest(name, settings_names)
        if nearest in _PROTECTING and getattr(settings, nearest.removeprefix(PREFIX).lower()) is None:
            raise WrongVariable(f"{name}: no setting has this name, and the service would be open: use {nearest}")
        unknown.append(f"{name} (did you mean {nearest}?)" if nearest else name)
    warnings = []
    if unknown:
        warnings.append(f"No setting has the name of these variables, and they change nothing: {', '.join(unknown)}")
    if environment.get("SINE_API_KEY") and settings.api_keys is None:
        warnings.append("SINE_API_KEY is a client's key: the service asks for none, because SINE_API_KEYS is not set")
    return warnings


def wrong_options(arguments: Sequence[str]) -> str:
    """Return what is wrong with command line arguments that cannot be read. Their values are not repeated."""
    options = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
    given = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    unknown = [option for option in given if option not in options]
    why = f"unknown option {', '.join(unknown)}" if unknown else "an option takes one value, and there is nothing else"
    return f"{why}: `python -m app --help` lists the options"


def _nearest(name: str, settings_names: list[str]) -> str | None:
    names = {known.removeprefix(PREFIX): known for known in settings_names}
    close = get_close_matches(name.upper().removeprefix(PREFIX), names, n=1)
    return names[close[0]] if close else None


def allowed(name: str) -> str:
    """Return what the setting of this name may be, for example `an integer from 0 to 65,535`."""
    field = Settings.model_fields[name]
    kind: Any = field.annotation
    if get_origin(kind) is types.UnionType:
        kind, _ = get_args(kind)  # an optional setting is of one type or None
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        return f"{', '.join(others)} or {last}"
    limits = [
        f"{word} {getattr(bound, bound_name):,}"
        for bound_name, word in _BOUNDS.items()
        for bound in field.metadata
        if hasattr(bound, bound_name)
    ]
    return " ".join([_KINDS[kind], *limits])
