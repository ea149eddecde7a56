"""JSON as other programs expect it: without the tags that keep types in the database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django_saga.core import encoding


def natural(text: str) -> str:
    """Give JSON that ``encoding.encode`` wrote with what its tags stand for as text, as Django's own JSON
    does: decimals keep every digit, times are in ISO 8601.
    """
    if '"$' not in text:
        return text
    return json.dumps(
        json.loads(text, object_hook=_untagged), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )


def duration(written: str) -> str:
    """Give a length of time as ISO 8601 does, in seconds: ``-PT90.5S``."""
    length = timedelta(microseconds=int(written.replace(".", "")))
    sign, micros = "-" * (length < timedelta(0)), abs(length) // timedelta(microseconds=1)
    seconds, rest = divmod(micros, 1_000_000)
    fraction = f".{rest:06}".rstrip("0").rstrip(".") if rest else ""
    return f"{sign}PT{seconds}{fraction}S"


# The tags of numbers stand for numbers, those of times and decimals for the text that is in them.
_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(encoding.READERS, str),
    "$int": int,
    "$float": float,
    "$timedelta": duration,
}


def _untagged(found: dict[str, Any]) -> Any:
    return encoding.untag(found, _READERS)
