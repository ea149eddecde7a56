"""Keeps the leases of steps that ``run()`` carries in this process, in one thread for all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from django_saga.engine import connections
from django_saga.engine.tasks import Task
from django_saga.store import claims


@dataclass(eq=False)
class _Kept:
    using: str
    owner: UUID
    lease: timedelta
    tasks: Sequence[Task]
    since: float

    def aging(self, now: float) -> bool:
        """True when a third of the lease has passed: most steps end before."""
        return now - self.since > self.lease.total_seconds() / 3


_kept: set[_Kept] = set()
_lock = threading.Lock()
_thread: threading.Thread | None = None
_LONGEST_PAUSE = 1.0  # seconds
_short = threading.Event()  # a lease was begun that may be too short for the pause under way


@contextmanager
def leases(using: str, owner: UUID, lease: timedelta, tasks: Sequence[Task]) -> Iterator[None]:
    """Keep the leases of ``tasks`` while the block runs."""
    kept = _Kept(using, owner, lease, tasks, time.monotonic())
    _begin(kept)
    try:
        yield
    finally:
        _kept.discard(kept)


def _begin(kept: _Kept) -> None:
    global _thread
    with _lock:
        _kept.add(kept)
        if _pause_for(kept.lease) < _LONGEST_PAUSE:
            _short.set()
        # A forked child has the variable, but not the thread.
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_keep, name="saga-leases", daemon=True)
            _thread.start()


def _pause_for(lease: timedelta) -> float:
    """Give how long to pause between looks at such a lease, in seconds."""
    return min(_LONGEST_PAUSE, lease.total_seconds() / 6)


def _keep() -> None:
    while True:
        _short.clear()
        _short.wait(min((_pause_for(kept.lease) for kept in list(_kept)), default=_LONGEST_PAUSE))
        now = time.monotonic()
        aging = [kept for kept in list(_kept) if kept.aging(now)]
        for kept in aging:
            _extend(kept, now)
        if aging:
            connections.close()


def _extend(kept: _Kept, now: float) -> None:
    tokens = {task.row.id: task.row.token for task in kept.tasks}
    try:
        lost = claims.extend(kept.using, owner=kept.owner, tokens=tokens, lease=kept.lease)
    except (DatabaseError, InterfaceError):
        connections.refresh(kept.using, after_error=True)
        return
    kept.since = now
    for task in kept.tasks:
        task.lost = task.lost or task.row.id in lost
