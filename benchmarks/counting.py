"""Counts what reaches the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    with sent("") as found:
        call()
    return len(found)


@contextmanager
def sent(beginning: str) -> Iterator[list[str]]:
    """Collect the statements with this ``beginning`` that the block sends from this process."""
    from django.db import connection

    found: list[str] = []

    def note(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        if sql.startswith(beginning):
            found.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found
