"""Dead letters, for people: messages and compensations that wait for somebody's decision, in one list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Max, Min, QuerySet

from django_saga.core.fingerprint import fingerprint
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.models import InboxMessage, OutboxMessage, SagaEvent, SagaStep
from django_saga.store.letters import INBOX, OUTBOX

COMPENSATION = "compensation"


class Letter(NamedTuple):
    """A dead letter. ``id``: of the message, or of the compensation's step; ``about``: its topic, or the saga
    and step; ``consumer`` of a message that came; ``saga`` that published it, or whose compensation it is.
    """

    box: str
    id: int | UUID
    about: str
    error_class: str
    error: str
    fingerprint: str
    first_at: datetime | None
    last_at: datetime
    attempts: int
    consumer: str = ""
    message_id: str = ""
    saga: UUID | None = None

    @property
    def name(self) -> str:
        """What commands call it by."""
        return f"{self.box}:{self.id}"


def dead_letters(using: str, *, box: str = "", mark: str = "", limit: int = 100) -> list[Letter]:
    """Give dead letters, those that died last first; only of a box, or with the fingerprint ``mark``."""
    sources = [each(using, mark, limit) for name, each in _SOURCES.items() if box in ("", name)]
    return list(islice(merge(*sources, key=lambda letter: letter.last_at, reverse=True), limit))


def dead_messages(using: str, ids: Iterable[tuple[str, int]]) -> list[Letter]:
    """Give those of the messages ``ids`` (box and number) that are dead, each box in the order of its ids."""
    wanted = defaultdict(set)
    for box, key in ids:
        wanted[box].add(key)
    sent = _dead_out(using).filter(pk__in=wanted[OUTBOX]).order_by("pk")
    came = _dead_in(using).filter(pk__in=wanted[INBOX]).order_by("pk")
    return [*map(_sent, sent), *map(_came, came)]


def _outbox(using: str, mark: str, limit: int) -> Iterator[Letter]:
    rows = _dead_out(using)
    return map(_sent, (rows.filter(fingerprint=mark) if mark else rows).order_by("-ended_at", "-pk")[:limit])


def _inbox(using: str, mark: str, limit: int) -> Iterator[Letter]:
    rows = _dead_in(using)
    return map(_came, (rows.filter(fingerprint=mark) if mark else rows).order_by("-ended_at", "-pk")[:limit])


def _dead_out(using: str) -> QuerySet[OutboxMessage]:
    rows = OutboxMessage.objects.using(using).filter(status=OutboxMessage.Status.DEAD)
    return rows.defer("payload", "headers")


def _dead_in(using: str) -> QuerySet[InboxMessage]:
    rows = InboxMessage.objects.using(using).filter(status=InboxMessage.Status.DEAD)
    return rows.defer("body", "traceback")


def _sent(row: OutboxMessage) -> Letter:
    return _letter(OUTBOX, row, row.created_at, saga=row.saga_id)


def _came(row: InboxMessage) -> Letter:
    return _letter(INBOX, row, row.received_at, consumer=row.consumer)


def _letter(box: str, row: OutboxMessage | InboxMessage, began_at: datetime, **more: Any) -> Letter:
    return Letter(
        box,
        row.pk,
        row.topic,
        row.error_class,
        row.error,
        row.fingerprint,
        row.failed_at,
        row.ended_at or began_at,
        row.attempts,
        message_id=str(row.message_id),
        **more,
    )


def _compensations(using: str, mark: str, limit: int) -> Iterator[Letter]:
    # Of sagas that are not at their end: those are few, however many sagas there were.
    unfinished = (SagaStatus.COMPENSATING, SagaStatus.STUCK)
    dead = SagaStep.objects.using(using).filter(saga__status__in=unfinished, status=StepStatus.UNDO_FAILED)
    rows = list(dead.select_related("saga").defer("result", "saga__input").order_by("-ended_at", "-pk"))
    told = _errors(using, rows)
    found = 0
    for row in rows:
        error_class, first_at, last_at = told.get((row.saga_id, row.name), ("", None, row.ended_at))
        letter = Letter(
            COMPENSATION,
            row.pk,
            f"{row.saga.name}.{row.name} of saga {row.saga_id}",
            error_class,
            row.error,
            fingerprint(error_class, row.error),
            first_at,
            last_at or row.created_at,
            row.attempt,
            saga=row.saga_id,
        )
        if mark in ("", letter.fingerprint) and found < limit:
            found += 1
            yield letter


def _errors(
    using: str, rows: list[SagaStep]
) -> dict[tuple[UUID, str], tuple[str, datetime | None, datetime | None]]:
    """Give what the history says of the compensations: the class of the last error, first and last time."""
    failed = (
        SagaEvent.objects.using(using).filter(saga__in={row.saga_id for row in rows}).exclude(error_class="")
    )
    spans = failed.values("saga_id", "step").annotate(first=Min("at"), last=Max("at"), newest=Max("pk"))
    found = {(each["saga_id"], each["step"]): each for each in spans}
    newest = {each["newest"] for each in found.values()}
    classes = dict(SagaEvent.objects.using(using).filter(pk__in=newest).values_list("pk", "error_class"))
    return {
        key: (classes.get(each["newest"], ""), each["first"], each["last"]) for key, each in found.items()
    }


_SOURCES = {OUTBOX: _outbox, INBOX: _inbox, COMPENSATION: _compensations}
