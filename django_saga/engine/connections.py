"""Database connections of long-lived threads: closed when they broke, so that the next query opens a new
one.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

# A connection that was quiet for this long is asked whether it lives before user code gets it.
_QUIET = 5.0


def refresh(using: str | None = None, *, after_error: bool = False) -> None:
    """Close this thread's connections that are broken or were left inside a transaction; after an error also
    those that broke while they were opened, which nobody has been told of.

    Django does this between requests; a worker has none. Unlike there, a connection without
    ``CONN_MAX_AGE`` is kept as long as it works: opening one for each step would cost more than the step.
    """
    for connection in _open() if after_error else _mine():
        if using not in (None, connection.alias):
            continue
        if connection.in_atomic_block:
            # A test's own transaction is not ours to end.
            if not _of_testcase(connection):
                _close(connection)
            continue
        if connection.get_autocommit() != connection.settings_dict["AUTOCOMMIT"]:
            _close(connection)
            continue
        if connection.errors_occurred:
            if connection.is_usable():
                connection.errors_occurred = False
            else:
                _close(connection)


def before_step() -> None:
    """Make sure that user code does not start on a connection the server closed meanwhile."""
    now = time.monotonic()
    for connection in _mine():
        quiet_since: float = getattr(connection, "_django_saga_used", 0.0)
        connection._django_saga_used = now  # type: ignore[attr-defined]
        if connection.in_atomic_block:
            continue
        stale = connection.errors_occurred or now - quiet_since > _QUIET
        if stale and not connection.is_usable():
            _close(connection)


def close() -> None:
    """Close all connections of this thread."""
    for connection in _open():
        _close(connection)


class _Thread(threading.local):
    """Whether this thread ever opened a connection: most step threads have none to look after, and asking
    is slow.
    """

    connected = False


_thread = _Thread()


def _note(**_: Any) -> None:
    _thread.connected = True


connection_created.connect(_note, dispatch_uid="django_saga.connections")


def _mine() -> list[BaseDatabaseWrapper]:
    return _open() if _thread.connected else []


def _open() -> list[BaseDatabaseWrapper]:
    return [
        connection
        for connection in connections.all(initialized_only=True)
        if connection.connection is not None
    ]


def _close(connection: Any) -> None:
    try:
        # Out of any block that is still open: it has to be possible to begin anew.
        connection.in_atomic_block = False
        connection.savepoint_ids = []
        connection.atomic_blocks = []
        connection.needs_rollback = False
        connection.close()
    except Exception:  # a connection that breaks while it is closed is closed all the same
        connection.connection = None
    connection.closed_in_transaction = False
    connection.errors_occurred = False


def _of_testcase(connection: BaseDatabaseWrapper) -> bool:
    return any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
