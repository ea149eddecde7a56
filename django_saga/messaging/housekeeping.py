"""Housekeeping: messages that are done with are deleted after a while, some thousands at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django_saga.conf import get_settings
from django_saga.store import clock, inbox, outbox

_AT_ONCE = 2_000

Prune = Callable[..., tuple[int, "int | None"]]


def prune_messages(using: str | None = None) -> int:
    """Delete messages that were sent, handled or discarded longer ago than the setting ``KEEP_MESSAGES``, and
    give how many.

    What is to be sent, waits or is dead is never touched. Workers do this by themselves.
    """
    using = using or get_settings().database
    before = clock.now(using) - get_settings().keep_messages
    return sum(_pruned(using, prune, before) for prune in (outbox.prune, inbox.prune))


def _pruned(using: str, prune: Prune, before: datetime) -> int:
    total, after = 0, 0
    while True:
        gone, last = prune(using, before=before, after=after, limit=_AT_ONCE)
        total += gone
        if last is None:
            return total
        after = last


class Housekeeping:
    """A worker's turn at it."""

    def __init__(self, using: str) -> None:
        self._using = using

    def turn(self) -> bool:
        """Prune; there is nothing left to do then."""
        prune_messages(self._using)
        return False
