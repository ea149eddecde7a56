"""Times, and lengths of time, that a person gives on the command line."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from django_saga.core.spans import parse_span


def span_argument(text: str) -> timedelta:
    """Read ``90s``, ``2h``, ``30d``. Raises ``argparse.ArgumentTypeError`` that says what is wrong."""
    try:
        return parse_span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def time_argument(text: str) -> datetime:
    """Read a time, in the project's time zone if it names none. Raises ``argparse.ArgumentTypeError``."""
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write it as 2026-12-01T06:00")
    return make_aware(at) if is_naive(at) else at
