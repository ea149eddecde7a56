"""Keys that sort by the time they were made."""

from __future__ import annotations

import random
import time
from uuid import UUID

_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_RANDOM_HIGH = 0xFFF << 64
_RANDOM_LOW = (1 << 62) - 1


def uuid7() -> UUID:
    """Make a version 7 UUID (RFC 9562, 5.7): 48 bits of Unix milliseconds, then 74 random ones.

    Uniqueness, not secrecy: ids are no credentials. ``random`` is seeded anew in a forked child.
    """
    milliseconds = time.time_ns() // 1_000_000
    noise = random.getrandbits(76)
    return UUID(
        int=(milliseconds << 80) | (noise & _RANDOM_HIGH) | (noise & _RANDOM_LOW) | _VERSION_AND_VARIANT
    )
