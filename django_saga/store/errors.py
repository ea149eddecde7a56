"""What an error of the database means for the engine: told by its code, never by its text where there is
one.
"""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, OperationalError

# PostgreSQL: serialization failure, deadlock, lock not available; and a prepared statement that is another
# session's, as a pooler changed sessions: ``store.prepared`` does without from then on.
_SQLSTATES = {"40001", "40P01", "55P03", "26000", "42P05"}
# MariaDB and MySQL: lock wait timeout, deadlock, record has changed since last read (snapshot isolation).
_MYSQL = {1205, 1213, 1020}
# SQLite: the result codes of a lock that was not to be had in time.
_SQLITE = {"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_RECOVERY", "SQLITE_LOCKED"}

_SQLSTATE_CANCELLED = "57014"
_MYSQL_CANCELLED = {(1317,), (1969,), (3024,)}

# PostgreSQL, by class: connection, insufficient resources, operator intervention, system error.
_SQLSTATES_AWAY = {"08", "53", "57", "58"}
# MariaDB and MySQL: what the client library finds out; and disk full, too many connections, shutdown,
# connection killed, session idle for too long.
_MYSQL_CLIENT = range(2000, 3000)
_MYSQL_AWAY = {1021, 1040, 1053, 1927, 4031}
_SQLITE_AWAY = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")


def is_conflict(error: BaseException) -> bool:
    """True when the transaction lost against another one and is worth running again as it is."""
    cause = error.__cause__ or error
    if getattr(cause, "sqlstate", None) in _SQLSTATES:
        return True
    if getattr(cause, "sqlite_errorname", None) in _SQLITE:
        return True
    code = cause.args[0] if isinstance(error, DatabaseError) and cause.args else None
    return isinstance(code, int) and code in _MYSQL


def is_aborted(error: BaseException) -> bool:
    """True when the transaction was of no use any more, as an error before had broken it."""
    return getattr(error.__cause__ or error, "sqlstate", None) == "25P02"


def was_cancelled(error: BaseException) -> bool:
    """True when a statement was ended from outside: by a limit on its time, or by a person."""
    cause = error.__cause__ or error
    if getattr(cause, "sqlstate", None) == _SQLSTATE_CANCELLED:
        return True
    return isinstance(error, DatabaseError) and cause.args[:1] in _MYSQL_CANCELLED


def is_away(error: BaseException) -> bool:
    """True when the database cannot be worked with now: the session ended, or the server stops, starts,
    cannot be reached or has no room left. Whether the last commit happened is open.
    """
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError) or is_conflict(error) or was_cancelled(error):
        return False
    # Not asked of the connection: Django has opened a new one by the time the error arrives here.
    cause = error.__cause__ or error
    if hasattr(cause, "sqlstate"):
        # What psycopg finds out by itself, as that the server is gone, has no code.
        return cause.sqlstate is None or cause.sqlstate[:2] in _SQLSTATES_AWAY
    if (name := getattr(cause, "sqlite_errorname", None)) is not None:
        return str(name).startswith(_SQLITE_AWAY)
    code = cause.args[0] if cause.args else None
    return isinstance(code, int) and (code in _MYSQL_CLIENT or code in _MYSQL_AWAY)
