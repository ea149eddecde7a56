"""Counts what reaches the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def snapshot() -> int:
    """Give the number of writing transactions this server has begun: each takes one transaction id."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        return int(cursor.fetchone()[0])


def since(before: int) -> int:
    """Give how many writing transactions there were since ``before``, the one that asks left out."""
    return snapshot() - before - 1


def statements(call: Callable[[], object]) -> int:
    """Give how many statements ``call`` sends from this process."""
    from django.db import connection

    count = 0

    def counted(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        nonlocal count
        count += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(counted):
        call()
    return count
