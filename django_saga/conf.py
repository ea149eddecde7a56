"""The settings of django-saga: one ``DJANGO_SAGA`` dict, environment variables ``DJANGO_SAGA_<KEY>`` over
it.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaSettings:
    """All settings with their defaults. Lengths of time are ``timedelta`` or seconds."""

    database: str = "default"  # the alias sagas live in
    lease: timedelta = timedelta(seconds=30)  # how long a claim lasts unless it is extended
    step_timeout: timedelta = timedelta(minutes=5)  # one attempt of a step that names no timeout
    poll_interval: timedelta = timedelta(seconds=1)  # the longest an idle worker waits between looks
    drain_timeout: timedelta = timedelta(seconds=30)  # how long SIGTERM waits for steps in flight
    concurrency: int = 16  # threads for `def` steps, per process
    keep_messages: timedelta = timedelta(days=7)  # how long messages stay that are done with
    # How long sagas stay that have ended, with their history; by default for ever.
    keep_sagas: timedelta | None = None
    handler_threads: int = 4  # threads for handlers of messages, per process
    async_concurrency: int = 500  # `async def` steps at once, per process
    notify: bool = True  # wake idle workers by NOTIFY where the database has it
    max_crashes: int = 4  # a step may take its worker with it that often
    max_input_bytes: int = 262_144
    max_result_bytes: int = 262_144
    max_error_bytes: int = 8_192
    max_message_bytes: int = 262_144
    max_depth: int = 64
    max_steps: int = 200
    message_attempts: int = 10  # of a message that a broker refuses, or a handler that names no retry policy
    brokers: dict[str, str] = field(default_factory=lambda: {"default": "memory:"})  # URLs by name
    # Broker by topic ("payments.*"), the first that fits.
    topics: dict[str, str] = field(default_factory=dict)
    source: str = ""  # who sends, in every message; by default made of the project's name
    # Who may send callbacks over HTTP, and the secrets that they sign them with ("whsec_..."), by spaces.
    webhooks: dict[str, str] = field(default_factory=dict)
    optimistic: bool = True  # send messages straight after commit, from the process that wrote them
    fault_points: bool = False  # tests only: honour the variable SAGA_FAULTS

    @property
    def sender(self) -> str:
        """Who sends: the CloudEvents attribute ``source``; of it are made ids and the topic of replies."""
        if self.source:
            return self.source
        return f"urn:django-saga:{project_name()}"


def project_name() -> str:
    """Name the project by the package of its URLs, which all its processes have in common."""
    return (getattr(settings, "ROOT_URLCONF", "") or "project").partition(".")[0]


@cache
def get_settings() -> SagaSettings:
    """Give the settings in force. Raises ``ImproperlyConfigured`` for an unknown key or a value of the
    wrong type.
    """
    given = getattr(settings, "DJANGO_SAGA", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"DJANGO_SAGA has to be a dict, not {type(given).__name__}.")
    known = {spec.name.upper(): spec for spec in fields(SagaSettings)}
    unknown = [str(key) for key in given if key not in known]
    if unknown:
        raise ImproperlyConfigured(
            "; ".join(f"Unknown DJANGO_SAGA key {key!r}{_hint(key, known)}" for key in sorted(unknown))
        )
    values: dict[str, Any] = {}
    for key, spec in known.items():
        variable = f"DJANGO_SAGA_{key}"
        if variable in os.environ:
            values[spec.name] = _convert(variable, os.environ[variable], str(spec.type))
        elif key in given:
            values[spec.name] = _convert(f"DJANGO_SAGA[{key!r}]", given[key], str(spec.type))
    return SagaSettings(**values)


def _hint(key: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key.upper(), known, n=1)
    return f": did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}."


def _convert(source: str, value: Any, kind: str) -> Any:
    """Give ``value`` as ``kind``; text is what environment variables hold."""
    try:
        if kind.endswith(" | None"):
            return None if value in (None, "") else _convert(source, value, kind.removesuffix(" | None"))
        if kind == "timedelta":
            length = value if isinstance(value, timedelta) else timedelta(seconds=float(value))
            if length <= timedelta(0):
                raise ValueError("it has to be longer than nothing")
            return length
        if kind == "bool":
            return _as_bool(value)
        if kind == "int":
            if isinstance(value, bool) or int(value) < 1:
                raise ValueError("give a whole number of 1 or more")
            return int(value)
        if kind == "dict[str, str]":
            return _as_names(value)
        if not isinstance(value, str):
            raise TypeError("give text")
        return value
    except (TypeError, ValueError) as error:
        wanted = _WANTED.get(kind, kind)
        # What broker URLs hold is not for logs.
        shown = "…" if kind == "dict[str, str]" else repr(value)
        raise ImproperlyConfigured(f"{source} = {shown} is not {wanted}: {error}") from None


_WANTED = {
    "timedelta": "a timedelta or seconds",
    "int": "a whole number",
    "dict[str, str]": "a dict of text (as JSON, in an environment variable)",
}


def _as_names(value: Any) -> dict[str, str]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise TypeError(f"got {type(found).__name__}")
    for name, text in found.items():
        if not (isinstance(name, str) and isinstance(text, str)):
            raise TypeError(f"the entry {name!r} is not text for text")
    return dict(found)


def _as_bool(value: Any) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("say true or false")


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "DJANGO_SAGA":
        get_settings.cache_clear()


setting_changed.connect(_forget)
