"""The fence of an atomic step: its own row, locked before user code runs, the limits of its transaction, and
what keeps user code from ending it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, partial
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_saga.core.states import OWNED_STEP
from django_saga.exceptions import BrokenTransaction, LeaseLost
from django_saga.models import SagaStep
from django_saga.store import sql


def hold(using: str, step_id: UUID, token: int, timeout: timedelta) -> str:
    """Lock the step's row for the open transaction, set its limits, and give what the step waits for, or
    waited for last. Raises ``LeaseLost`` when ``token`` is no longer the row's.
    """
    connection = connections[using]
    also, values = limits(using, timeout)
    rows = sql.read(
        using,
        SagaStep,
        ("token", "status", "waits_for"),
        f"SELECT token, status, waits_for{also} FROM {sql.table(SagaStep)}"
        f" WHERE id = %s {sql.locking(connection)}",
        [*values, sql.to_db(connection, step_id)],
    )
    if not rows or rows[0][0] != token or rows[0][1] not in OWNED_STEP:
        raise LeaseLost(f"step {step_id} moved on from token {token}")
    return rows[0][2] or ""


def limits(using: str, timeout: timedelta) -> tuple[str, list[str]]:
    """Give what a SELECT that locks rows reads besides, so that the server ends what the worker cannot, where
    it can: waits for locks, that one included, hung statements and, if the process is frozen, the open
    transaction.

    ``client_connection_check_interval`` has a killed worker noticed while a statement runs, so that its
    locks go at once.
    """
    connection = connections[using]
    # In the transaction of a test case the limits would outlive the step.
    if connection.vendor != "postgresql" or connection.savepoint_ids:
        return "", []
    milliseconds = str(max(1, int(timeout.total_seconds() * 1000)))
    found = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        "client_connection_check_interval": "500",
    }
    if connection.pg_version >= 170000:  # type: ignore[attr-defined]
        found["transaction_timeout"] = milliseconds
    return ", set_config(%s, %s, true)" * len(found), [part for pair in found.items() for part in pair]


# --- what user code does to its transaction -------------------------------------------------------


class TornTransaction(DatabaseError):
    """User code broke the transaction; its session was ended, so that nothing of it stays. ``told``: how."""

    def __init__(self, told: BrokenTransaction) -> None:
        super().__init__(str(told))
        self.told = told


@contextmanager
def guarded(connection: BaseDatabaseWrapper, code: str = "step") -> Iterator[None]:
    """Run user code inside the innermost open block, which has to be the innermost one afterwards too.
    ``code``: what errors call it.

    Raises ``BrokenTransaction`` in user code that sends a statement which ends the transaction, and
    ``TornTransaction`` when user code has closed the connection, left a block of its own open, or closed one
    that is not its own.
    """
    session, before = connection.connection, _blocks(connection)
    told: BaseException | None = None
    try:
        with connection.execute_wrapper(partial(_refuse_to_end, code)):
            yield
    except BaseException as error:
        told = error
        raise
    finally:
        what = ""
        if connection.connection is not session or connection.closed_in_transaction:
            what = "closed the database connection of its own transaction"
        elif _blocks(connection) != before:
            opened = len(connection.savepoint_ids) > len(before[1])
            what = f"left a transaction.atomic() block {'open' if opened else 'that it had not opened'}"
        if what:
            _end_session(connection, before)
            raise TornTransaction(BrokenTransaction(f"the {code} {what}")) from told


def _blocks(connection: Any) -> tuple[bool, list[str | None], list[Any]]:
    return connection.in_atomic_block, [*connection.savepoint_ids], [*connection.atomic_blocks]


def _end_session(connection: Any, before: tuple[bool, list[str | None], list[Any]]) -> None:
    """Have the server roll back, and the blocks around user code end as they began."""
    connection.in_atomic_block, connection.savepoint_ids, connection.atomic_blocks = before
    connection.close()
    connection.closed_in_transaction = connection.needs_rollback = True


def _refuse_to_end(
    code: str, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    connection: BaseDatabaseWrapper = context["connection"]
    found = _enders(connection.features.can_rollback_ddl).match(sql) if isinstance(sql, str) else None
    if found:
        remedy = "make the step one that is not atomic, or leave" if code == "step" else "leave"
        raise BrokenTransaction(
            f"the {code} sent {found[1]}, which would end the transaction that it runs in; "
            f"{remedy} the statement out"
        )
    return execute(sql, params, many, context)


@cache
def _enders(can_rollback_ddl: bool) -> re.Pattern[str]:
    """Give the pattern of statements that end the transaction, by their first words."""
    words = [
        "COMMIT",
        r"ROLLBACK(?!(?:\s+WORK|\s+TRANSACTION)?\s+TO\b)",
        r"BEGIN(?:\s+(?:WORK|TRANSACTION))?",
        r"START\s+TRANSACTION",
        "END",
        "ABORT",
        r"PREPARE\s+TRANSACTION",
        r"SET\s+(?:SESSION\s+)?AUTOCOMMIT",
    ]
    if not can_rollback_ddl:
        words += [r"(?:CREATE|DROP)(?!\s+TEMPORARY)", "ALTER", "TRUNCATE", "RENAME", r"LOCK\s+TABLES?"]
    gap = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
    return re.compile(rf"{gap}({'|'.join(words)})\b", re.IGNORECASE | re.DOTALL)
