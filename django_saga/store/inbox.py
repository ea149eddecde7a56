"""The inbox: a row for each message and consumer, from its arrival until long after its handler is done.

Invariant: a message has its effects once for each consumer. The unique index on consumer and message id lets
it in once, and its row becomes ``done`` in the transaction of the handler's effects, under the lock of its
partition. Rows that were pruned leave marks: what is between them is old.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.models import F, QuerySet

from django_saga.models import InboxMessage, InboxStream
from django_saga.store import clock, flows, letters, partitions, sql
from django_saga.store.letters import Failure

Status = InboxMessage.Status
_COLUMNS = (
    "consumer",
    "message_id",
    "topic",
    "key",
    "source",
    "stream",
    "number",
    "part_number",
    "body",
    "status",
    "attempts",
    "crashes",
    "error_class",
    "error",
    "traceback",
    "fingerprint",
    "failed_at",
    "received_at",
    "ended_at",
    "correlation_id",
)
_READ = (
    "id",
    "message_id",
    "topic",
    "stream",
    "part_number",
    "correlation_id",
    "body",
    "attempts",
    "crashes",
    "due_at",
)


class Arrival(NamedTuple):
    """A message that came for a consumer. ``error``: why it can never be handled."""

    consumer: str
    message_id: str
    topic: str
    key: str | None
    source: str
    stream: str | None
    number: int
    part: int
    body: bytes
    error_class: str = ""
    error: str = ""
    fingerprint: str = ""
    correlation_id: str = ""


class Waiting(NamedTuple):
    """A message that waits for its handler."""

    id: int
    message_id: str
    topic: str
    stream: str | None
    part: int
    correlation_id: str
    body: bytes
    attempts: int
    crashes: int
    due_at: datetime | None

    @property
    def lane(self) -> Hashable:
        """What it keeps its order in."""
        return self.id if self.stream is None else self.stream

    @property
    def flow(self) -> str:
        """The correlation id of what it belongs to: its own id when it is the first."""
        return self.correlation_id or self.message_id


def store(using: str, arrivals: Sequence[Arrival]) -> int:
    """Write what came, in its order, and give how many messages were new."""
    now = clock.now(using)
    rows: list[sql.Row] = []
    for each in arrivals:
        dead = bool(each.error_class)
        status = Status.DEAD if dead else Status.WAITING
        ended = now if dead else None
        failure = (each.error_class, each.error, "", each.fingerprint, ended)
        rows.append((*each[:9], status.value, 0, 0, *failure, now, ended, each.correlation_id))
    new = sql.insert(using, InboxMessage, _COLUMNS, rows, ignore=True)
    return new - _withdraw_old(using, arrivals, now) if new else 0


def _withdraw_old(using: str, arrivals: Sequence[Arrival], written_at: datetime) -> int:
    """Delete what was just written though it is old; give how many rows that were.

    Rows that were pruned are known by their marks alone. These are read after ours were written: a row that
    was still there would have collided with ours, and when it was gone its mark was committed.
    """
    old: dict[str, list[str]] = {}
    known = _marks(using, sorted({each.stream for each in arrivals if each.stream is not None}))
    for each in arrivals:
        first, last = known.get((each.consumer, each.stream, each.source), (0, -1))
        if first <= each.number <= last:
            old.setdefault(each.consumer, []).append(each.message_id)
    # Of the same message, a row that waits since before is another one.
    ours = InboxMessage.objects.using(using).filter(status=Status.WAITING, received_at=written_at)
    return sum(
        ours.filter(consumer=consumer, message_id__in=ids).delete()[0] for consumer, ids in old.items()
    )


def _marks(using: str, streams: Sequence[str]) -> dict[tuple[str, str | None, str], tuple[int, int]]:
    """Give what consumers have had of streams whose rows were pruned."""
    found: dict[tuple[str, str | None, str], tuple[int, int]] = {}
    if not streams:
        return found
    connection = connections[using]
    columns = "consumer", "stream", "source", "first_number", "last_number"
    for part in sql.chunks(connection, streams):
        these, names = sql.is_in(connection, "stream", part)
        asked = f"SELECT {', '.join(columns)} FROM {sql.table(InboxStream)} WHERE {these}"
        for consumer, stream, source, first, last in sql.read(using, InboxStream, columns, asked, names):
            found[consumer, stream, source] = (first, last)
    return found


class Wanted(NamedTuple):
    """What a process handles for a consumer: all but the topics that only other code has a handler for."""

    consumer: str
    left: Sequence[str] = ()


def with_work(using: str, wanted: Sequence[Wanted]) -> tuple[list[Wanted], datetime | None]:
    """Give those of ``wanted`` for which there is something to be handled, and the time of the look."""
    if not wanted:
        return [], None
    conditions = [_due(using, each) for each in wanted]
    there = [f"EXISTS(SELECT 1 FROM {sql.table(InboxMessage)} WHERE {where})" for where, _ in conditions]
    values = [value for _, some in conditions for value in some]
    asked = f"SELECT {sql.epoch(connections[using])}, {', '.join(there)}"
    [(epoch, *found)] = sql.read(using, InboxMessage, (), asked, values)
    return [each for each, is_there in zip(wanted, found, strict=True) if is_there], clock.at(epoch)


def waiting(using: str, wanted: Wanted) -> partitions.Work:
    """Give what a consumer could handle now; what is behind another one included."""
    return partitions.Work(InboxMessage, *_due(using, wanted))


def count(using: str, consumer: str, limit: int) -> int:
    """Say how many messages wait for a consumer, up to ``limit``."""
    return _count(using, "consumer = %s AND status = 'waiting'", [consumer], limit)


def count_due(using: str, wanted: Wanted, limit: int) -> int:
    """Say how many messages a consumer could handle now, up to ``limit``: neither those that wait for their
    time nor those behind them in their streams.
    """
    held = (
        f"SELECT stream FROM {sql.table(InboxMessage)} WHERE consumer = %s AND status = 'waiting'"
        f" AND stream IS NOT NULL AND due_at > {clock.moment(using)}"
    )
    due, values = _due(using, wanted)
    where = f"{due} AND (stream IS NULL OR stream NOT IN ({held}))"
    return _count(using, where, [*values, wanted.consumer], limit)


def _count(using: str, where: str, values: Sequence[Any], limit: int) -> int:
    some = f"SELECT id FROM {sql.table(InboxMessage)} WHERE {where} LIMIT %s"
    [(found,)] = sql.read(
        using, InboxMessage, (), f"SELECT count(*) FROM ({some}) AS found", [*values, limit]
    )
    return int(found)


def _due(using: str, wanted: Wanted) -> tuple[str, list[Any]]:
    where, values = _waiting_for(using, wanted)
    return f"{where} AND (due_at IS NULL OR due_at <= {clock.moment(using)})", values


def _waiting_for(using: str, wanted: Wanted) -> tuple[str, list[Any]]:
    where, values = f"consumer = %s AND status = '{Status.WAITING.value}'", [wanted.consumer]
    if not wanted.left:
        return where, values
    these, topics = sql.is_in(connections[using], "topic", wanted.left)
    return f"{where} AND NOT ({these})", [*values, *topics]


def read(using: str, wanted: Wanted, parts: Sequence[int], limit: int, now: datetime) -> list[Waiting]:
    """Give messages whose turn it is, in order; the caller holds their partitions."""
    where, values = _waiting_for(using, wanted)
    return partitions.read(using, InboxMessage, _READ, Waiting, where, values, parts, limit, now)


def begin(using: str, ids: Sequence[int]) -> None:
    """Note that handlers begin: should nobody say how that ended, their process was lost on the way."""
    _change(using, ids, "crashes = crashes + 1")


def leave(using: str, ids: Sequence[int]) -> None:
    """Note that handlers did not begin after all."""
    _change(using, ids, "crashes = CASE WHEN crashes > 0 THEN crashes - 1 ELSE 0 END")


def finished(using: str, ids: Sequence[int]) -> sql.Statement:
    """Give what marks messages as done, inside the transaction of their effects; the caller holds their
    partitions.
    """
    kept = "body = CASE WHEN result IS NULL THEN NULL ELSE body END"
    return _changed(using, ids, f"status = 'done', {kept}, {_at_rest(using)}")


def fail(using: str, row_id: int, failure: Failure, traceback: str, now: datetime) -> None:
    """Note that a handler failed; the caller holds the message's partition."""
    letters.fail(_these(using, [row_id]), failure, now, traceback=traceback, crashes=0)


def give_up(using: str, consumer: str, failure: Failure, now: datetime, *, limit: int) -> int:
    """Have what waits for a consumer be dead, up to ``limit`` messages, and give how many that were."""
    waiting = InboxMessage.objects.using(using).filter(consumer=consumer, status=Status.WAITING)
    some = list(waiting.order_by("id").values_list("id", flat=True)[:limit])
    return letters.fail(waiting.filter(id__in=some), failure, now, crashes=0, attempts=F("attempts"))


def _at_rest(using: str) -> str:
    return f"crashes = 0, due_at = NULL, ended_at = {clock.moment(using)}"


def _change(using: str, ids: Sequence[int], change: str) -> int:
    return sql.together(using, [_changed(using, ids, change)])


def _changed(using: str, ids: Sequence[int], change: str) -> sql.Statement:
    these, params = sql.is_in(connections[using], "id", ids)
    update = f"UPDATE {sql.table(InboxMessage)} SET {change} WHERE {these} AND status = 'waiting'"
    return sql.Statement(update, params)


def _these(using: str, ids: Sequence[int]) -> QuerySet[InboxMessage]:
    return InboxMessage.objects.using(using).filter(id__in=ids, status=Status.WAITING)


def prune(using: str, *, before: datetime, after: int, limit: int) -> tuple[int, int | None]:
    """Delete messages that were at rest before a time; never what waits or is dead.

    One chunk of ``limit`` rows by id, from behind ``after``. Gives how many were deleted, and behind what to
    go on; None at the end. A stream's marks move as far as nothing is missing, and rows beyond a gap stay:
    what is missing may still come.
    """
    with transaction.atomic(using=using):
        columns = ("id", "status", "ended_at", "received_at", "consumer", "stream", "source", "number")
        unsettled = flows.unsettled(using)
        chunk = list(
            InboxMessage.objects.using(using)
            .filter(id__gt=after)
            .order_by("id")
            .values_list(*columns, "correlation_id", "message_id", named=True)[:limit]
        )
        old = [
            row
            for row in chunk
            if row.status not in (Status.WAITING, Status.DEAD)
            and row.ended_at < before
            # What is still to be undone is known by its row.
            and (row.consumer, row.correlation_id or row.message_id) not in unsettled
        ]
        gone = [row.id for row in old if row.stream is None]
        streams = sorted(
            (row for row in old if row.stream is not None),
            key=lambda row: (row.consumer, row.stream, row.source, row.number),
        )
        for (consumer, stream, source), rows in groupby(streams, key=lambda row: row[4:7]):
            gone += _below(using, consumer, stream, source, list(rows))
        InboxMessage.objects.using(using).filter(id__in=gone).delete()
    ends = len(chunk) < limit or chunk[-1].received_at >= before
    return len(gone), None if ends else chunk[-1].id


def _below(using: str, consumer: str, stream: str, source: str, old: Sequence[Any]) -> list[int]:
    """Move the marks of a stream and give the rows that they stand for from now on.

    The marks are where a row of numbers without a gap begins and ends. What comes late is new, also below
    the first: a consumer may have begun in the middle, or the first message was a dead letter until now.
    """
    # The row is there before it is locked: two that prune at once would else each write one of their own.
    begins = {"first_number": old[0].number, "last_number": old[0].number - 1}
    blank = InboxStream(consumer=consumer, stream=stream, source=source, **begins)
    marks = InboxStream.objects.using(using)
    marks.bulk_create([blank], ignore_conflicts=True)
    mark = marks.select_for_update().get(consumer=consumer, stream=stream, source=source)
    first, last = mark.first_number, mark.last_number
    whole = InboxMessage.objects.using(using).filter(consumer=consumer, stream=stream, source=source)
    # Rows that wait or are dead count too: as long as they are there, they keep their message out themselves.
    lowest, highest = min(old[0].number, last + 1), max(old[-1].number, first - 1)
    there = whole.filter(number__gte=lowest, number__lte=highest)
    numbers = set(there.values_list("number", flat=True))
    while first - 1 in numbers:
        first -= 1
    while last + 1 in numbers:
        last += 1
    covered = [row.id for row in old if first <= row.number <= last]
    marks.filter(pk=mark.pk).update(first_number=first, last_number=last)
    return covered
