"""Wakes idle workers after commit. Only speed depends on it: a worker that hears nothing polls."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connections, transaction

from django_saga.conf import get_settings
from django_saga.engine import connections as mending
from django_saga.faults import fault_point

CHANNEL = "django_saga"
# One notification wakes a worker, which looks again a few milliseconds later by itself; more of them within
# this time, in seconds, would only cost the callers.
_COALESCE = 0.005
_last_sent = 0.0


def after_commit(using: str) -> None:
    """Notify idle workers once the open transaction commits; at once when none is open."""
    if hears(using) and get_settings().notify:
        # A plain function: robust callbacks that are ``functools.partial`` break on Django 5.2 and 6.0.
        transaction.on_commit(lambda: notify(using), using=using, robust=True)


def hears(using: str) -> bool:
    """True where the database can wake a listener."""
    return connections[using].vendor == "postgresql"


def notify(using: str) -> None:
    """Send the notification, outside any transaction that writes sagas: NOTIFY serializes commits."""
    global _last_sent
    fault_point("start.after_commit")
    now = time.monotonic()
    if now - _last_sent < _COALESCE:
        return
    _last_sent = now
    with connections[using].cursor() as cursor:
        cursor.execute(f"NOTIFY {CHANNEL}")


def nudge(using: str) -> None:
    """Notify from a worker, whose work must not suffer if that fails."""
    try:
        notify(using)
    except (DatabaseError, InterfaceError):
        mending.refresh(using, after_error=True)


class Listener(threading.Thread):
    """Listens on a connection of its own and calls ``wake``; silent while the database is away."""

    def __init__(self, using: str, wake: Callable[[], None]) -> None:
        super().__init__(name="saga-listener", daemon=True)
        self._using = using
        self._wake = wake
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Have the thread end within a second."""
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (DatabaseError, OSError):
                self._stopping.wait(1)

    def _listen(self) -> None:
        connection = connections.create_connection(self._using)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            driver = connection.connection
            while not self._stopping.is_set():
                ready, _, _ = select.select([driver.fileno()], [], [], 1)
                if not ready:
                    continue
                with connection.wrap_database_errors:
                    heard = sum(1 for _ in driver.notifies(timeout=0))
                if driver.closed or driver.broken:
                    return
                if heard:
                    self._wake()
        finally:
            connection.close()
