"""Wakes idle workers after commit. Only speed depends on it: a worker that hears nothing polls.

Each kind of work has a channel. Who listens in this very process is called at once; others hear it from the
database, where that can tell.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connections, transaction

from django_saga.conf import get_settings
from django_saga.engine import connections as mending
from django_saga.faults import fault_point

SAGAS = "django_saga"
OUTBOX = "django_saga_outbox"
INBOX = "django_saga_inbox"
# One notification wakes a worker, which looks again a few milliseconds later by itself; more of them within
# this time, in seconds, would only cost the callers.
_COALESCE = 0.005
_last_sent = dict.fromkeys((SAGAS, OUTBOX, INBOX), 0.0)
_AFTER_COMMIT = {SAGAS: "start.after_commit", OUTBOX: "outbox.after_commit", INBOX: "inbox.before_wake"}
# By channel: who listens in this process. The last one takes to itself what is told here.
_ears: dict[str, list[Callable[[str], None]]] = {OUTBOX: [], INBOX: []}


def after_commit(using: str, channel: str = SAGAS) -> None:
    """Notify idle workers once the open transaction commits; at once when none is open."""
    if _ears.get(channel) or tells(using):
        # A plain function: robust callbacks that are ``functools.partial`` break on Django 5.2 and 6.0.
        transaction.on_commit(lambda: notify(using, channel), using=using, robust=True)


def hears(using: str) -> bool:
    """True where the database can wake a listener."""
    return connections[using].vendor == "postgresql"


def tells(using: str) -> bool:
    """True where the database is to wake listeners, by the setting ``NOTIFY``."""
    return hears(using) and get_settings().notify


def notify(using: str, channel: str = SAGAS) -> None:
    """Send the notification, outside any transaction that writes: NOTIFY serializes commits."""
    fault_point(_AFTER_COMMIT[channel])
    if ears := _ears.get(channel):
        ears[-1](using)
        return
    if tells(using):
        tell_others(using, channel)


def another_here(using: str, channel: str) -> None:
    """Tell who listens in this very process that there may be more than whoever found it takes."""
    if ears := _ears.get(channel):
        ears[-1](using)


def tell_others(using: str, channel: str) -> None:
    """Send the notification through the database, unless one was sent just now."""
    now = time.monotonic()
    if now - _last_sent[channel] < _COALESCE:
        return
    _last_sent[channel] = now
    with connections[using].cursor() as cursor:
        cursor.execute(f"NOTIFY {channel}")


def nudge(using: str, channel: str = SAGAS) -> None:
    """Notify from a worker, whose work must not suffer if that fails."""
    try:
        notify(using, channel)
    except (DatabaseError, InterfaceError):
        mending.refresh(using, after_error=True)


def listen_here(channel: str, hear: Callable[[str], None]) -> None:
    """Have ``hear`` called with the alias whenever this process itself has something for ``channel``, in
    place of who listened before.
    """
    _ears[channel].append(hear)


def listen_no_more(channel: str, hear: Callable[[str], None]) -> None:
    """Undo ``listen_here``."""
    _ears[channel].remove(hear)


class Listener(threading.Thread):
    """Listens on a connection of its own and calls what belongs to a channel; silent while the database is
    away.
    """

    def __init__(self, using: str, channels: dict[str, Callable[[], None]]) -> None:
        super().__init__(name="saga-listener", daemon=True)
        self._using = using
        self._channels = channels
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
                for channel in self._channels:
                    cursor.execute(f"LISTEN {channel}")
            driver = connection.connection
            while not self._stopping.is_set():
                ready, _, _ = select.select([driver.fileno()], [], [], 1)
                if not ready:
                    continue
                with connection.wrap_database_errors:
                    heard = {each.channel for each in driver.notifies(timeout=0)}
                if driver.closed or driver.broken:
                    return
                for channel in heard:
                    self._channels[channel]()
        finally:
            connection.close()
