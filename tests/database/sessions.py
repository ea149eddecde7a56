"""Ends sessions from the server's side, as a restart or an administrator does; on PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from tests.processes import wait_until

# Server processes of this database that are not the asking one: id, and the statement that waits for a lock.
_SESSIONS = {
    "postgresql": (
        "SELECT pid, CASE WHEN wait_event_type = 'Lock' THEN query ELSE '' END FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ),
    "mysql": (
        "SELECT id, CASE WHEN state LIKE 'Waiting for table%' THEN info ELSE '' END"
        " FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    ),
}
_END = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}
_OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}
_LOCK = {
    "postgresql": "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
    "mysql": "LOCK TABLES {} WRITE, {} AS s WRITE",
}


def sessions() -> dict[int, str]:
    """Give the other sessions of the database by id, with what they wait for a lock with."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_stat_clear_snapshot()"
            )  # in a transaction, it would show the same for ever
        cursor.execute(_SESSIONS[connection.vendor])
        return {number: statement or "" for number, statement in cursor.fetchall()}


def end(number: int) -> None:
    """End a session, and wait until the server is rid of it."""
    with connection.cursor() as cursor, suppress(OperationalError):  # MariaDB: it is gone already
        cursor.execute(_END[connection.vendor], [number])
    wait_until(lambda: number not in sessions())


def id_of(session: BaseDatabaseWrapper) -> int:
    """Give the server's number of ``session``."""
    with session.wrap_database_errors, session.connection.cursor() as cursor:
        cursor.execute(_OWN_ID[session.vendor])
        return int(cursor.fetchone()[0])


@contextmanager
def locked(table: str) -> Iterator[None]:
    """Hold ``table`` so that nobody else gets at it, as a migration does."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("BEGIN")
        cursor.execute(_LOCK[connection.vendor].replace("{}", table))
        try:
            yield
        finally:
            cursor.execute("COMMIT" if connection.vendor == "postgresql" else "UNLOCK TABLES")


def waiting_for_lock() -> int | None:
    """Give the id of a session that waits for a lock, None when there is none."""
    return next((number for number, statement in sessions().items() if statement), None)


class Watch:
    """Sees every statement of new connections, and may have ``strike`` end the session before one of them."""

    def __init__(self, concerns: Callable[[str], bool], strike_at: int = 0) -> None:
        self.seen: list[str] = []
        self._concerns = concerns
        self._strike_at = strike_at

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if self._concerns(sql):
            self.seen.append(sql)
            if len(self.seen) == self._strike_at:
                strike(context["connection"])
        return execute(sql, params, many, context)

    @contextmanager
    def on(self) -> Iterator[Watch]:
        """Watch the connections that are opened inside the block."""

        def watch(*, connection: BaseDatabaseWrapper, **_: object) -> None:
            if self not in connection.execute_wrappers:
                connection.execute_wrappers.append(self)

        connection_created.connect(watch)
        try:
            yield self
        finally:
            connection_created.disconnect(watch)


def strike(session: BaseDatabaseWrapper) -> None:
    """End ``session`` from another one."""
    number = id_of(session)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute(_END[other.vendor], [number])
            wait_until(lambda: number not in _asked(cursor))
    finally:
        other.close()


def _asked(cursor: Any) -> set[int]:
    cursor.execute(_SESSIONS[cursor.db.vendor])
    return {row[0] for row in cursor.fetchall()}
