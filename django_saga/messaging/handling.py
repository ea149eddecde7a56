"""Handles what is in the inbox: the handler's effects and the mark that it is done are one transaction.

    lease partitions, read what is next, note that it begins → commit
    → lock the partitions and check their tokens → handlers → mark as done → commit

Many messages share a transaction. When one of them fails, all are rolled back and each goes alone, so that a
failure costs its own message only. A message whose process was lost on the way goes alone the next time, and
to the dead letters when that happens again and again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import DatabaseError, InterfaceError, connections, transaction

from django_saga.conf import get_settings
from django_saga.core import envelope
from django_saga.core.flows import FlowFailure, goes_forward
from django_saga.core.retry import Retry
from django_saga.dsl.handler import handlers
from django_saga.engine import failures, wake
from django_saga.engine.connections import before_step, refresh
from django_saga.exceptions import (
    BrokenTransaction,
    EncodingError,
    FlowFailed,
    HandlerMissing,
    LeaseLost,
    MalformedMessage,
    PermanentFailure,
    RetryLater,
)
from django_saga.faults import fault_point
from django_saga.messaging import flows
from django_saga.messaging.others import Others
from django_saga.messaging.received import Received
from django_saga.models import InboxPartition
from django_saga.signals import message_event
from django_saga.store import clock, errors, fence, inbox, partitions, sql
from django_saga.store import flows as flow_rows
from django_saga.store.inbox import Waiting, Wanted
from django_saga.store.letters import Failure
from django_saga.store.partitions import Asked, Held

_AT_ONCE = 100
_PARTITIONS = 8
# A transaction ends after the handler that passed this, in seconds: locks of the others are not held longer.
_LONG_ENOUGH = 0.1
# How often a transaction that ran into another one runs again.
_TRIES = 5
# A handler that outlives the limit of its transaction by this much, in seconds, hangs.
_GRACE = 5.0
_WENT_ON = (
    "the handler went on after a database error inside its transaction; wrap what may fail in a "
    "transaction.atomic() block of its own"
)


class Handling:
    """One thread's work on the inbox."""

    def __init__(self, using: str, *, lease: timedelta) -> None:
        self._using = using
        self._lease = lease
        self._owner = uuid4()
        self._timeout = get_settings().step_timeout
        self._others = Others(using)
        self._next = 0
        self._since: float | None = None  # when the handler at work was called, by the monotonic clock
        partitions.ensure(using, InboxPartition, handlers.consumers())

    @property
    def hangs(self) -> bool:
        """True when a handler is at work far longer than a step may be."""
        since = self._since
        return since is not None and time.monotonic() > since + self._timeout.total_seconds() + _GRACE

    def turn(self) -> bool:
        """Handle some of what is there, for each consumer in turn; False when there was nothing to do."""
        consumers = handlers.consumers()
        self._next += 1
        order = [consumers[(self._next + at) % len(consumers)] for at in range(len(consumers))]
        # Nothing is written to find out that there is nothing.
        found, now = inbox.with_work(self._using, [self._others.wanted(name) for name in order])
        served = []
        for wanted in found:
            # Asked anew for each but the first: what came before may have taken longer than a lease.
            served.append(self._serve(wanted, now or clock.now(self._using)))
            now = None
        return any(served)

    def _serve(self, wanted: Wanted, now: datetime) -> bool:
        held, rows = self._begin(wanted, now)
        if not rows:
            return False
        fault_point("inbox.after_begin")
        if len(held) == _PARTITIONS or len(rows) == _AT_ONCE:
            wake.another_here(self._using, wake.INBOX)
        self._handle(wanted.consumer, held, rows)
        return True

    def _begin(self, wanted: Wanted, now: datetime) -> tuple[list[Held], list[Waiting]]:
        using = self._using

        def begin(parts: list[int], now: datetime) -> list[Waiting]:
            rows = _together(inbox.read(using, wanted, parts, _AT_ONCE, now))
            if rows:
                inbox.begin(using, [row.id for row in rows])
            return rows

        work = inbox.waiting(using, wanted)
        asked = Asked(InboxPartition, wanted.consumer, work, _PARTITIONS, self._owner, self._lease)
        return partitions.take_work(using, asked, begin, now)

    # --- one transaction ------------------------------------------------------------------------------

    def _handle(self, consumer: str, held: Sequence[Held], rows: Sequence[Waiting]) -> None:
        if rows[0].crashes >= get_settings().max_crashes:
            limit = rows[0].crashes
            crash = PermanentFailure(f"crash loop: its worker was lost {limit} times while it was handled")
            self._fail(consumer, held, rows[0], crash)
        elif len(rows) == 1:
            if self._handle_alone(consumer, held, rows[0], last=True):
                return
        else:
            try:
                self._commit(consumer, held, rows, last=True)
                return
            except (Exception, SystemExit) as error:
                refresh(self._using, after_error=True)
                if errors.is_away(error):
                    raise
            self._each_alone(consumer, held, rows)
        self._release(held)

    def _each_alone(self, consumer: str, held: Sequence[Held], rows: Sequence[Waiting]) -> None:
        stopped: set[Hashable] = set()
        for row in rows:
            if row.lane in stopped:
                inbox.leave(self._using, [row.id])
            elif not self._handle_alone(consumer, held, row):
                stopped.add(row.lane)

    def _handle_alone(self, consumer: str, held: Sequence[Held], row: Waiting, *, last: bool = False) -> bool:
        """Handle one message; False when it failed."""
        for tries in range(_TRIES):
            try:
                self._commit(consumer, held, [row], last=last)
                return True
            except LeaseLost:
                inbox.leave(self._using, [row.id])
                return False
            except (Exception, SystemExit) as error:
                refresh(self._using, after_error=True)
                if errors.is_away(error):
                    raise
                if not errors.is_conflict(error) or tries == _TRIES - 1:
                    self._fail(consumer, held, row, error)
                    return False
            # Two transactions that ran into each other should not meet again.
            time.sleep(random.uniform(0.01, 0.05) * 2**tries)  # noqa: S311
        raise AssertionError("unreachable")

    def _commit(self, consumer: str, held: Sequence[Held], rows: Sequence[Waiting], *, last: bool) -> None:
        """Handle messages in one transaction; the ``last`` one of a turn lets go of the partitions, too."""
        committed: list[bool] = []
        try:
            self._transact(consumer, held, rows, committed, last=last)
        except Exception as error:
            if not committed:
                raise
            # What a handler wanted done after the commit failed: its message is handled all the same.
            message_event.send_robust(Handling, event="hook_failed", consumer=consumer, error=error)
        fault_point("inbox.after_commit")

    def _transact(
        self,
        consumer: str,
        held: Sequence[Held],
        rows: Sequence[Waiting],
        committed: list[bool],
        *,
        last: bool,
    ) -> None:
        using = self._using
        began, seen, late = time.monotonic(), 0, []
        with transaction.atomic(using=using, durable=True):
            # Before the hooks of handlers, which may fail.
            transaction.on_commit(lambda: committed.append(True), using=using)
            limits = fence.limits(using, self._timeout)
            mine = {each.number for each in partitions.hold(using, InboxPartition, held, limits)}
            if not all(row.part in mine for row in rows):
                raise LeaseLost(f"another worker has a partition of {consumer} now")
            before_step()  # other databases that handlers work with may have ended their sessions
            failed = flows.failed_among(using, consumer, {row.flow for row in rows})
            for row in rows:
                if not self._call(consumer, row, refused=row.flow in failed):
                    late.append(row.id)
                fault_point("inbox.mid")
                seen += 1
                if time.monotonic() - began > _LONG_ENOUGH:
                    break
            handled = [row.id for row in rows[:seen] if row.id not in late]
            ends = [partitions.released(using, InboxPartition, held, self._owner)] if last else []
            if handled and sql.together(using, [*ends, inbox.finished(using, handled)]) != len(handled):
                raise LeaseLost(f"a flow of {consumer} failed while its message was handled")
            if ends and not handled:
                sql.together(using, ends)
            if late:
                flow_rows.refuse(using, late, clock.now(using))
            if seen < len(rows):
                inbox.leave(using, [row.id for row in rows[seen:]])
            fault_point("inbox.before_commit")

    def _call(self, consumer: str, row: Waiting, *, refused: bool) -> bool:
        """Call the handler, which may do anything but end the transaction; False when the message is refused,
        as its flow has failed.
        """
        handler = flows.handler_for(consumer, row.topic)
        if handler is None:
            raise HandlerMissing(f"consumer {consumer} has no handler for {row.topic} in this code")
        message = envelope.read(bytes(row.body))
        forward = goes_forward(row.topic, message.headers)
        # Commands are told to be undone by whoever sent them.
        if refused and forward and not handler.answers:
            return False
        received = Received(
            message,
            handler,
            attempt=row.attempts + 1,
            using=self._using,
            known_as=row.message_id,
            undoes=not forward,
        )
        if handler.schema is not None and not handler.answers:
            _ = received.payload  # what does not fit fails before the handler has any effect
        connection = connections[self._using]
        self._since = time.monotonic()
        try:
            with fence.guarded(connection, "handler"):
                result = flows.called(handler.function, received)
                if connection.needs_rollback:
                    raise BrokenTransaction(_WENT_ON)
        except (DatabaseError, InterfaceError) as error:
            # Ours notes its own errors; and it would not answer after one that ended its transaction.
            if errors.is_away(error) and not connection.errors_occurred and connection.is_usable():
                raise _OtherAway(error) from error
            raise
        finally:
            self._since = None
        if handler.compensation is not None and forward:
            flows.keep(self._using, row.id, handler, result)
        return True

    # --- what failed ------------------------------------------------------------------------------------

    def _fail(self, consumer: str, held: Sequence[Held], row: Waiting, error: BaseException) -> None:
        using = self._using
        handler = handlers.get(consumer, row.topic)
        policy = (handler and handler.retry) or Retry(attempts=get_settings().message_attempts)
        told = error.told if isinstance(error, (fence.TornTransaction, _OtherAway)) else error
        if errors.is_aborted(told):
            told = BrokenTransaction(_WENT_ON)
        with transaction.atomic(using=using):
            if row.part not in {each.number for each in partitions.hold(using, InboxPartition, held)}:
                return
            now = clock.now(using)
            if self._is_for_others(consumer, row):
                inbox.leave(using, [row.id])
                return
            ends_flow = isinstance(told, FlowFailed) and _goes_forward(row)
            due_at = None if ends_flow else _due(told, policy, row.attempts + 1, now)
            failure = Failure(due_at=due_at, **failures.told(told)._asdict())
            if ends_flow:
                if not self._end_flow(consumer, row, failure, now):
                    return  # it was refused meanwhile
            else:
                inbox.fail(using, row.id, failure, failures.clean(failures.traceback_of(told)), now)
        event = "flow_failed" if ends_flow else "message_dead" if due_at is None else "message_failed"
        message_event.send_robust(
            Handling, event=event, consumer=consumer, message=row, error=told, due_at=due_at
        )

    def _is_for_others(self, consumer: str, row: Waiting) -> bool:
        """True when there is no handler in this code, and is one in that of others since a moment."""
        if flows.handler_for(consumer, row.topic) is not None:
            return False
        self._others.ask_again()
        return row.topic in self._others.wanted(consumer).left

    def _end_flow(self, consumer: str, row: Waiting, failure: Failure, now: datetime) -> bool:
        if not flow_rows.fail(self._using, row.id, failure, now):
            return False
        headers = envelope.read(bytes(row.body)).headers
        said = FlowFailure(consumer, failure.error_class, failure.error, row.message_id, row.topic)
        flows.say(self._using, row.flow, said, headers)
        return True

    def _release(self, held: Sequence[Held]) -> None:
        try:
            partitions.release(self._using, InboxPartition, held, self._owner)
        except (DatabaseError, InterfaceError):
            refresh(self._using, after_error=True)  # the lease runs out


class _OtherAway(Exception):
    """Some other database that a handler works with is away: a failure of the handler, as ours answers."""

    def __init__(self, told: DatabaseError | InterfaceError) -> None:
        super().__init__(str(told))
        self.told: BaseException = told


def _goes_forward(row: Waiting) -> bool:
    return goes_forward(row.topic, envelope.read(bytes(row.body)).headers)


def _together(rows: Sequence[Waiting]) -> list[Waiting]:
    """Give those that share a transaction: a message whose process was lost goes alone, when it is first."""
    for at, row in enumerate(rows):
        if row.crashes:
            return [row] if at == 0 else list(rows[:at])
    return list(rows)


def _due(error: BaseException, policy: Retry, attempt: int, now: datetime) -> datetime | None:
    """Say when a message is tried again; None: never."""
    if isinstance(error, (PermanentFailure, EncodingError, MalformedMessage)):
        return None
    wait = policy.wait_after(attempt, chance=random.random())  # noqa: S311
    if wait is None:
        return None
    if isinstance(error, RetryLater):
        return now + error.delay
    # What is no ``Exception``, as a ``sys.exit()`` deep in a library, says nothing about another attempt.
    return now + wait if policy.allows(error) or not isinstance(error, Exception) else None
