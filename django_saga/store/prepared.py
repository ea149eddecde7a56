"""Prepared inserts: the server keeps them parsed and planned, which else takes it longer than running them.

Only inserts, for they have one plan. That of a SELECT could be one that was made while its table was empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

_AFTER = 2  # runs of a statement in one session
# The statement is not there, is there already, or is another one: this is not the session that prepared it.
_SQLSTATES_ELSEWHERE = {"26000", "42P05", "08P01"}
_refused = False


@contextmanager
def preparing(connection: BaseDatabaseWrapper) -> Iterator[Any]:
    """Give a cursor for one insert that will come again; an ordinary one where it cannot be kept.

    Behind a pooler that hands sessions on after each transaction nothing can: there Django's
    ``DISABLE_SERVER_SIDE_CURSORS`` says so. Where it was forgotten, the first insert fails as a conflict that
    is worth running again, and this process prepares no more.
    """
    global _refused
    if _refused or not _can_prepare(connection):
        with connection.cursor() as cursor:
            yield cursor
        return
    from django.db.backends.postgresql.base import ServerBindingCursor

    connection.ensure_connection()
    session: Any = connection.connection
    usual = session.cursor_factory, session.prepare_threshold
    session.cursor_factory, session.prepare_threshold = ServerBindingCursor, _AFTER
    try:
        with connection.cursor() as cursor:
            yield cursor
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) in _SQLSTATES_ELSEWHERE:
            _refused = True
        raise
    finally:
        session.cursor_factory, session.prepare_threshold = usual


def _can_prepare(connection: BaseDatabaseWrapper) -> bool:
    """True for PostgreSQL with psycopg 3 and sessions that last."""
    if connection.vendor != "postgresql" or connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        return False
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    return bool(is_psycopg3)
