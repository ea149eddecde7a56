"""The outbox: messages are written in the transaction they tell of, numbered in their stream.

Invariant: the numbers of a stream have no gap and follow the order of commits. A number is taken by an update
of the stream's row, whose lock lasts until the transaction ends; rolled back, the number is free again. Rows
get their ids under that lock, so ids rise with the numbers, and what a relay sees of a stream, reading by id,
is never behind a message that is still to appear.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from django.db import connections
from django.db.models import F

from django_saga.core.messages import Message, message_id, part_of, stream_of
from django_saga.models import OutboxMessage, OutboxStream
from django_saga.store import clock, letters, partitions, sql
from django_saga.store.letters import Failure

Status = OutboxMessage.Status
_COLUMNS = (
    "message_id",
    "topic",
    "key",
    "stream",
    "number",
    "broker",
    "part_number",
    "payload",
    "headers",
    "saga_id",
    "status",
    "created_at",
    "attempts",
    "error_class",
    "error",
    "fingerprint",
    "correlation_id",
    "causation_id",
)
_READ = (
    "id",
    "message_id",
    "topic",
    "key",
    "stream",
    "number",
    "part_number",
    "payload",
    "headers",
    "attempts",
    "due_at",
    "created_at",
)


class Draft(NamedTuple):
    """A message to be written; ``payload`` and ``headers`` are JSON text."""

    topic: str
    key: str | None
    payload: str
    headers: str
    broker: str
    saga_id: UUID | None = None
    correlation_id: str = ""
    causation_id: str = ""


class Pending(NamedTuple):
    """A message to be sent."""

    id: int
    message_id: UUID
    topic: str
    key: str | None
    stream: str | None
    number: int
    part: int
    payload: str
    headers: str
    attempts: int
    due_at: datetime | None
    created_at: datetime

    @property
    def lane(self) -> Hashable:
        """What it keeps its order in."""
        return self.id if self.stream is None else self.stream

    def message(self, source: str) -> Message:
        """Give it as it travels."""
        return Message(
            id=str(self.message_id),
            source=source,
            topic=self.topic,
            data=self.payload,
            at=self.created_at,
            key=self.key,
            stream=self.stream,
            number=self.number,
            headers=json.loads(self.headers),
        )


def append(using: str, drafts: Sequence[Draft], source: str) -> list[UUID]:
    """Write messages in the open transaction and give their ids."""
    streams = [None if draft.key is None else stream_of(draft.topic, draft.key) for draft in drafts]
    counts = Counter(stream for stream in streams if stream is not None)
    lasts, now = _advance(using, counts)
    next_number = {name: last - counts[name] for name, last in lasts.items()}
    rows: list[sql.Row] = []
    for draft, stream in zip(drafts, streams, strict=True):
        if stream is None:
            number, key = 1, uuid4()
            part = part_of(str(key))
        else:
            number = next_number[stream] = next_number[stream] + 1
            key, part = message_id(source, stream, number), part_of(stream)
        head = (key, draft.topic, draft.key, stream, number, draft.broker, part, draft.payload)
        follows = (draft.correlation_id, draft.causation_id)
        rows.append((*head, draft.headers, draft.saga_id, Status.PENDING.value, now, 0, "", "", "", *follows))
    sql.insert(using, OutboxMessage, _COLUMNS, rows)
    return [row[0] for row in rows]


def _advance(using: str, counts: Mapping[str, int]) -> tuple[dict[str, int], datetime]:
    """Take numbers in streams and give the last one of each, in one order for all, against deadlocks; and the
    time.
    """
    connection, table = connections[using], sql.table(OutboxStream)
    names = sorted(counts)
    if not names:
        return {}, clock.now(using)
    if sql.has_arrays(connection):
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} (name, last_number) SELECT * FROM unnest(%s::text[], %s::bigint[])"
                f" ON CONFLICT (name) DO UPDATE SET last_number = {table}.last_number + EXCLUDED.last_number"
                f" RETURNING name, last_number, {sql.epoch(connection)}",
                [names, [counts[name] for name in names]],
            )
            rows = cursor.fetchall()
        return {name: last for name, last, _ in rows}, clock.at(rows[0][2])
    clash = "ON CONFLICT (name) DO UPDATE SET last_number = last_number + EXCLUDED.last_number"
    if connection.vendor == "mysql":
        clash = "ON DUPLICATE KEY UPDATE last_number = last_number + VALUES(last_number)"
    for name in names:
        # The update first: an insert that meets the row locks the gap before it, too, in InnoDB.
        known = OutboxStream.objects.using(using).filter(name=name)
        if not known.update(last_number=F("last_number") + counts[name]):
            new = [name, counts[name]]
            sql.execute(using, f"INSERT INTO {table} (name, last_number) VALUES (%s, %s) {clash}", new)
    found: dict[str, int] = {}
    for part in sql.chunks(connection, names):
        these = OutboxStream.objects.using(using).filter(name__in=part)
        found.update(these.values_list("name", "last_number"))
    return found, clock.now(using)


def pending(using: str, broker: str) -> partitions.Work:
    """Give what could be sent to a broker now; what is behind another one included."""
    due = f"(due_at IS NULL OR due_at <= {clock.moment(using)})"
    return partitions.Work(OutboxMessage, f"broker = %s AND status = 'pending' AND {due}", [broker])


def brokers(using: str) -> set[str]:
    """Name the brokers for which there is something to be sent."""
    waiting = OutboxMessage.objects.using(using).filter(status=Status.PENDING)
    return set(waiting.order_by("broker").values_list("broker", flat=True).distinct())


def read(using: str, broker: str, parts: Sequence[int], limit: int, now: datetime) -> list[Pending]:
    """Give messages whose turn it is, in order; the caller holds their partitions."""
    where = f"broker = %s AND status = '{Status.PENDING.value}'"
    return partitions.read(using, OutboxMessage, _READ, Pending, where, [broker], parts, limit, now)


def confirm(using: str, ids: Sequence[int]) -> int:
    """Mark messages that the broker has; the caller holds their partitions."""
    connection = connections[using]
    marked = 0
    for part in sql.chunks(connection, ids):
        these, params = sql.is_in(connection, "id", part)
        marked += sql.execute(
            using,
            f"UPDATE {sql.table(OutboxMessage)} SET status = 'published', due_at = NULL,"
            f" ended_at = {clock.moment(using)} WHERE {these} AND status = 'pending'",
            params,
        )
    return marked


def refuse(using: str, row_id: int, failure: Failure, now: datetime) -> None:
    """Note that the broker refused a message; the caller holds its partition."""
    letters.fail(OutboxMessage.objects.using(using).filter(id=row_id, status=Status.PENDING), failure, now)


def prune(using: str, *, before: datetime, after: int, limit: int) -> tuple[int, int | None]:
    """Delete messages that were sent or discarded before a time; never what is pending or dead.

    One chunk of ``limit`` rows by id, from behind ``after``. Gives how many were deleted, and behind what to
    go on; None at the end. Numbers of streams are kept: they are part of the ids.
    """
    rows = OutboxMessage.objects.using(using)
    chunk = list(
        rows.filter(id__gt=after).order_by("id").values_list("id", "status", "ended_at", "created_at")[:limit]
    )
    old = [
        key
        for key, status, ended_at, _ in chunk
        if status in (Status.PUBLISHED, Status.DISCARDED) and ended_at and ended_at < before
    ]
    # The status again: one that was requeued meanwhile is pending.
    gone = rows.filter(id__in=old, status__in=(Status.PUBLISHED, Status.DISCARDED)).delete()[0] if old else 0
    # Ids follow the time, near enough: from the first row written since then on, none is old.
    ends = len(chunk) < limit or chunk[-1][3] >= before
    return gone, None if ends else chunk[-1][0]
