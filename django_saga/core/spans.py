"""Lengths of time, written for people and read from them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PAIRS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|[smhdw])\s*", re.ASCII)


def between(since: datetime, until: datetime) -> timedelta:
    """Give the time from ``since`` to ``until``, at least none: a clock may have been set back meanwhile."""
    return max(until - since, timedelta(0))


def span(length: timedelta) -> str:
    """Give ``length`` in the units that matter: ``12 ms``, ``1.2 s``, ``4 min 5 s``, ``3 d 4 h``."""
    seconds = abs(length.total_seconds())
    if seconds < 0.9995:
        millis = seconds * 1000
        return f"{millis:.1f} ms" if 0.05 <= millis < 9.95 else f"{millis:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    size, unit, smaller, small = next(units for units in _PAIRS if whole >= units[0])
    large, rest = divmod(whole, size)
    part = rest // smaller
    return f"{large} {unit} {part} {small}" if part else f"{large} {unit}"


def parse_span(text: str) -> timedelta:
    """Read ``90s``, ``30m``, ``2h``, ``1d12h`` or ``1w``. Raises ``ValueError``."""
    total = timedelta(0)
    at = 0
    stripped = text.strip().lower()
    try:
        while part := _PART.match(stripped, at):
            total += float(part[1]) * _UNITS[part[2]]
            at = part.end()
    except OverflowError:
        at = -1
    if not stripped or at != len(stripped) or not total:
        raise ValueError(f"{text!r} is no length of time; write 90s, 30m, 2h, 1d12h or 1w")
    return total
