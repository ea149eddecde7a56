"""Lengths of time that a person gives on the command line."""

from __future__ import annotations

import argparse
from datetime import timedelta

from django_saga.core.spans import parse_span


def span_argument(text: str) -> timedelta:
    """Read ``90s``, ``2h``, ``30d``. Raises ``argparse.ArgumentTypeError`` that says what is wrong."""
    try:
        return parse_span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
