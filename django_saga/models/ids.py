"""Keys that sort by the time they were made."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_MILLISECOND = 1_000_000  # in nanoseconds


def uuid7() -> UUID:
    """Make a version 7 UUID (RFC 9562, 5.7): 48 bits of Unix milliseconds, 12 of their fraction, 62 random.

    The fraction (6.2, method 3) is good for a quarter of a microsecond, so what one process makes one after
    another sorts so. Uniqueness, not secrecy: ids are no credentials. ``random`` is seeded anew in a forked
    child.
    """
    milliseconds, rest = divmod(time.time_ns(), _MILLISECOND)
    fraction = (rest << 12) // _MILLISECOND
    return UUID(int=(milliseconds << 80) | (fraction << 64) | random.getrandbits(62) | _VERSION_AND_VARIANT)


def first_id(at: datetime) -> UUID:
    """Give the least id of those that are made at ``at`` or later."""
    return UUID(int=max((at - _EPOCH) // timedelta(milliseconds=1), 0) << 80)


def child_id(step: UUID, item: int) -> UUID:
    """Make the id of the saga that ``step`` starts for its ``item``: always the same, so that no second one
    can be stored.

    It sorts by the time of ``step``, then by item: 48 bits of milliseconds, 32 of the item, 42 random ones of
    ``step``.
    """
    milliseconds, chance = step.int >> 80, step.int & ((1 << 42) - 1)
    high, low = item >> 20, item & ((1 << 20) - 1)
    return UUID(int=(milliseconds << 80) | (high << 64) | (low << 42) | chance | _VERSION_AND_VARIANT)
