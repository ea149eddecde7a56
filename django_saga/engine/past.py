"""The state of a saga at any instant, folded from its history."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django_saga.core import machine
from django_saga.core.events import Migrated
from django_saga.core.state import SagaState
from django_saga.engine import versions
from django_saga.exceptions import IllegalTransition, InvalidInput, SagaNotFound, UnknownSaga
from django_saga.models import SagaEvent, SagaInstance
from django_saga.store import history


class Past(NamedTuple):
    """A saga as it stood: its state, the version it was of, and its history until then and since."""

    state: SagaState
    version: int
    until: list[SagaEvent]
    since: list[SagaEvent]


def look(using: str, saga_id: UUID, at: datetime, *, tracebacks: bool = False) -> Past:
    """Give how a saga stood at ``at``, which is aware.

    Raises ``SagaNotFound`` when there is none, or was none yet; ``UnknownSaga`` when a version it was of can
    be read neither from the code nor from the database.
    """
    if at.utcoffset() is None:
        raise InvalidInput("at is a datetime without a time zone: make it aware")
    saga = SagaInstance.objects.using(using).select_related("definition").filter(pk=saga_id).first()
    events = SagaEvent.objects.using(using).filter(saga_id=saga_id).order_by("pk")
    told = list(events if tracebacks else events.defer("traceback"))
    if saga is None or not told:
        raise SagaNotFound(f"There is no saga {saga_id}.")
    # The order is that of the rows: where the database's clock was set back, times are not in order.
    until = told[: max((place for place, event in enumerate(told, 1) if event.at <= at), default=0)]
    if not until:
        raise SagaNotFound(f"Saga {saga_id} was not there yet at {at}: it was started at {told[0].at}.")
    since = told[len(until) :]
    find = versions.of_name(using, saga.name)
    moves = [fact for event in since if isinstance(fact := history.fact(event), Migrated)]
    definition = find(moves[0].from_version) if moves else versions.of_saga(saga)
    facts = [(history.fact(event), event.at) for event in until]
    try:
        state = machine.fold(definition, facts, find)
    except (IllegalTransition, KeyError) as error:
        raise UnknownSaga(
            f"The history of saga {saga_id} does not fit what is known of its versions: a graph was "
            f"replaced since, under the same number ({error})."
        ) from error
    return Past(state, definition.version, until, since)
