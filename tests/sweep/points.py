"""Every place between this process and its database at which a process may die or lose the connection.

A point is one statement, or the end of a transaction. ``Points`` counts them, and strikes at one of them.
A blow after a statement differs from one before the next only where something has become durable: such points
are ``lasting``.

What a process that dies leaves behind is what it had made durable, and what it had done outside of the
database. A server rolls back the transaction of a client that is gone, at whichever of its statements that
went. So from one point at which either of the two grew up to the next there is nothing by which deaths could
be told apart, and one proves what all of them would: the last one, when most is to be rolled back. That does
not hold where the process lives on and knows what it had done (``DROPS``), nor where no server is there to
roll back (SQLite, whose files stay as they are): there every statement is struck.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NamedTuple

from django.db.backends.signals import connection_created

from tests import ledger


class Mode(StrEnum):
    """What happens at the point."""

    NOTHING = "nothing"
    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"
    DROP_BEFORE = "drop before"
    LOSE_REPLY = "lose reply"  # the database did it, and the connection broke before it could say so


KILLS = (Mode.KILL_BEFORE, Mode.KILL_AFTER)
DROPS = (Mode.DROP_BEFORE, Mode.LOSE_REPLY)
AFTER = (Mode.KILL_AFTER, Mode.LOSE_REPLY)


class Point(NamedTuple):
    """What was passed."""

    label: str
    lasting: bool
    outside: int  # how much had been done outside of the database by then


def worth_a_blow(passed: Sequence[Point], mode: Mode, *, again: bool, server: bool) -> list[int]:
    """Give the numbers of the points at which a blow can leave something else behind than at all others.

    ``again=False``: of statements of the same words inside transactions, where nothing lasts yet, only the
    first and the last one. ``server``: the database rolls back what a client that is gone had begun.
    """
    numbered = list(enumerate(passed, 1))
    if mode in AFTER:
        return [at for at, point in numbered if point.lasting]
    first = {point.label: at for at, point in reversed(numbered)}
    last = {point.label: at for at, point in numbered}
    wanted = [
        at
        for at, point in numbered
        if again or point.lasting or at in (first[point.label], last[point.label])
    ]
    if mode in DROPS or not server:
        return wanted
    return sorted({_end_of_stretch(passed, at) for at in wanted})


def _end_of_stretch(passed: Sequence[Point], at: int) -> int:
    """Give the last of the points before which as much was durable, and done outside, as before ``at``."""
    while at < len(passed) and not passed[at - 1].lasting and passed[at - 1].outside == passed[at].outside:
        at += 1
    return at


class Points:
    """Counts the points that this process passes and strikes at number ``at``, counted from 1."""

    def __init__(self, mode: Mode = Mode.NOTHING, at: int = 0) -> None:
        self.passed: list[Point] = []
        self.reached = False
        self._mode = mode
        self._at = at
        self._aside = False

    def watch(self) -> None:
        """Watch every connection that this process opens from now on."""
        connection_created.connect(self._opened, weak=False)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Count nothing that the block does: it belongs to the test."""
        self._aside = True
        try:
            yield
        finally:
            self._aside = False

    def _opened(self, *, connection: Any, **_: Any) -> None:
        if self._execute in connection.execute_wrappers:
            return  # the same connection object, connected again
        connection.execute_wrappers.insert(0, self._execute)
        for name in ("_commit", "_rollback"):
            setattr(connection, name, self._ending(connection, name, getattr(connection, name)))

    def _execute(self, execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        return self._pass(str(sql), context["connection"], lambda: execute(sql, params, many, context))

    def _ending(self, connection: Any, name: str, end: Callable[[], Any]) -> Callable[[], Any]:
        def pass_on() -> Any:
            if connection.connection is None:
                return end()
            return self._pass(name.strip("_").upper(), connection, end)

        return pass_on

    def _pass(self, label: str, connection: Any, go_on: Callable[[], Any]) -> Any:
        if self._aside:
            return go_on()
        lasting = label == "COMMIT" or not connection.in_atomic_block
        self.passed.append(Point(label, lasting, ledger.length()))
        strikes = len(self.passed) == self._at
        self.reached = self.reached or strikes
        if strikes and self._mode is Mode.KILL_BEFORE:
            _die()
        if strikes and self._mode is Mode.DROP_BEFORE:
            connection.connection.close()
        answer = go_on()
        if strikes and self._mode is Mode.KILL_AFTER:
            _die()
        if strikes and self._mode is Mode.LOSE_REPLY:
            connection.connection.close()
            _tell_broken(connection)
        return answer


def _tell_broken(connection: Any) -> None:
    """Raise what the driver does when the server is gone, through the same wrapper."""
    said = "server closed the connection unexpectedly"
    arguments = (2013, said) if connection.vendor == "mysql" else (said,)
    with connection.wrap_database_errors:
        raise connection.Database.OperationalError(*arguments)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
