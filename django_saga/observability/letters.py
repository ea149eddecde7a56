"""Dead letters, for people: messages, compensations and steps that wait for a decision, in one list."""

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
from django_saga.core.outline import of_saga
from django_saga.core.state import PAST_PIVOT
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.models import InboxMessage, OutboxMessage, SagaEvent, SagaStep
from django_saga.store.letters import COMPENSATION, INBOX, OUTBOX, STEP


class Letter(NamedTuple):
    """A dead letter. ``id``: of the message, or of the step; ``about``: its topic, or the saga and step;
    ``consumer`` of a message that came; ``saga`` that published it, or whose step it is.
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


def dead_ones(using: str, ids: Iterable[tuple[str, int | UUID]]) -> list[Letter]:
    """Give those of the letters ``ids`` (box and id) that are dead, each box in the order of its ids."""
    wanted: dict[str, set[Any]] = defaultdict(set)
    for box, key in ids:
        wanted[box].add(key)
    sent = _dead_out(using).filter(pk__in=wanted[OUTBOX]).order_by("pk")
    came = _dead_in(using).filter(pk__in=wanted[INBOX]).order_by("pk")
    undos = _dead_undos(using).filter(pk__in=wanted[COMPENSATION]).order_by("pk")
    steps = _dead_steps(using).filter(pk__in=wanted[STEP]).order_by("pk")
    of_sagas = [*_of_sagas(using, COMPENSATION, undos), *_of_sagas(using, STEP, steps)]
    return [*map(_sent, sent), *map(_came, came), *of_sagas]


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
    return _newest(_of_sagas(using, COMPENSATION, _dead_undos(using)), mark, limit)


def _steps(using: str, mark: str, limit: int) -> Iterator[Letter]:
    return _newest(_of_sagas(using, STEP, _dead_steps(using)), mark, limit)


def _newest(found: Iterable[Letter], mark: str, limit: int) -> Iterator[Letter]:
    return islice((letter for letter in found if mark in ("", letter.fingerprint)), limit)


def _dead_undos(using: str) -> QuerySet[SagaStep]:
    # Of sagas that are not at their end: those are few, however many sagas there were.
    unfinished = (SagaStatus.COMPENSATING, SagaStatus.STUCK)
    return SagaStep.objects.using(using).filter(saga__status__in=unfinished, status=StepStatus.UNDO_FAILED)


def _dead_steps(using: str) -> QuerySet[SagaStep]:
    return SagaStep.objects.using(using).filter(
        saga__status=SagaStatus.STUCK,
        saga__reason=PAST_PIVOT,
        status__in=(StepStatus.FAILED, StepStatus.UNKNOWN),
    )


def _of_sagas(using: str, box: str, dead: QuerySet[SagaStep]) -> Iterator[Letter]:
    rows = dead.select_related("saga__definition").defer("result", "saga__input")
    steps = [row for row in rows.order_by("-ended_at", "-pk") if box != STEP or not _is_replaced(using, row)]
    told = _errors(using, steps)
    for row in steps:
        error_class, first_at, last_at = told.get((row.saga_id, row.name), ("", None, row.ended_at))
        yield Letter(
            box,
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


def _is_replaced(using: str, row: SagaStep) -> bool:
    """True when another step was opened to stand in for it: that one counts then."""
    nodes = of_saga(row.saga.definition.graph, row.saga.graph)
    instead = [node.name for node in nodes if node.stands_in_for == row.name]
    return (
        bool(instead) and SagaStep.objects.using(using).filter(saga_id=row.saga_id, name__in=instead).exists()
    )


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


_SOURCES = {OUTBOX: _outbox, INBOX: _inbox, COMPENSATION: _compensations, STEP: _steps}
