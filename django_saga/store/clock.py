"""The time, as the database tells it; tests put a clock of their own in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import connections

from django_saga.store import sql

# What tests add to the database's time. One number for the process: a test's clock moves for all its threads.
_ahead = timedelta(0)
# Where tests hold the time; None: it passes.
_held: datetime | None = None


def now(using: str) -> datetime:
    """Ask the database for the time: workers' own clocks differ, and leases are compared between workers."""
    if _held is not None:
        return _held + _ahead
    connection = connections[using]
    with connection.cursor() as cursor:
        # Through the same text as everywhere, so that "%%" means one percent sign for every driver.
        cursor.execute(f"SELECT {sql.now(connection)}", [])
        return told(cursor.fetchone()[0])


def moment(using: str, ahead: timedelta = timedelta(0)) -> str:
    """Give the SQL for the time of the statement, or for one that is ``ahead`` of it."""
    if _held is not None:
        return sql.literal(connections[using], _held + _ahead + ahead)
    return sql.now(connections[using], (_ahead + ahead).total_seconds())


def told(value: object) -> datetime:
    """Give the time a statement read with ``sql.now``, moved by what a test asked for."""
    at = sql.as_time(value)
    assert at is not None
    return at + _ahead


def at(epoch: float) -> datetime:
    """Give the time of ``sql.epoch``, moved by what a test asked for."""
    if _held is not None:
        return _held + _ahead
    return datetime.fromtimestamp(epoch, UTC) + _ahead


@contextmanager
def shifted(by: timedelta) -> Iterator[None]:
    """Move this process' time ahead by ``by``; nested shifts add up."""
    global _ahead
    before = _ahead
    _ahead = before + by
    try:
        yield
    finally:
        _ahead = before


@contextmanager
def held(using: str) -> Iterator[Callable[[timedelta], None]]:
    """Hold this process' time where it is, and give the function that moves it on."""
    global _held
    before = _held

    def move(by: timedelta) -> None:
        global _held
        assert _held is not None
        _held += by

    _held = now(using) - _ahead
    try:
        yield move
    finally:
        _held = before
