"""Retention: sagas that ended long ago are deleted, some hundreds at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django_saga.conf import get_settings
from django_saga.faults import fault_point
from django_saga.models.ids import first_id
from django_saga.store import clock, pruning

_AT_ONCE = 200
# Ids are made by the clocks of many machines.
_CLOCKS_DIFFER_BY = timedelta(minutes=10)


def prune_sagas(
    older_than: timedelta,
    *,
    name: str = "",
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda total: None,
    using: str | None = None,
) -> int:
    """Delete sagas that ended more than ``older_than`` ago, with their steps, history, operations and those
    that their steps started; give how many.

    What has not ended, is stuck, or belongs to a saga that has not ended is never touched. Idempotency keys
    of what is gone can be used again. ``name``: only sagas of it. ``dry_run``: only count them. ``progress``
    is told the number so far. ``using`` is a database alias, by default the setting ``DATABASE``. Raises
    ``ValueError`` unless ``older_than`` is positive.
    """
    if older_than <= timedelta(0):
        raise ValueError(f"older_than has to be longer than nothing, not {older_than}")
    using = using or get_settings().database
    before, total = clock.now(using) - older_than, 0
    below = first_id(before + _CLOCKS_DIFFER_BY)
    while True:
        gone, last = pruning.prune(
            using, before=before, below=below, limit=_AT_ONCE, name=name, dry_run=dry_run
        )
        fault_point("prune.after_commit")
        total += gone
        progress(total)
        if last is None:
            return total
        below = last
