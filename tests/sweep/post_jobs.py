"""Jobs of the fork server's children that are about messages: see ``tests.sweep.jobs``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from unittest import mock

from django_saga import runtime
from django_saga.conf import get_settings
from django_saga.core.commands import REPLY_CONSUMER
from django_saga.dsl.handler import handlers
from django_saga.dsl.registry import registry
from django_saga.messaging import duty
from django_saga.messaging.duty import Duty
from django_saga.messaging.handling import Handling
from django_saga.messaging.housekeeping import prune_messages
from django_saga.messaging.relay import Relay
from django_saga.models import InboxPartition, OutboxPartition
from django_saga.testing import shift_clock
from tests.sweep.jobs import (
    LATER,
    Job,
    class_of,
    finish_all,
    in_one_thread,
    patiently,
    saga_of,
    struck,
    told,
    watch,
)
from tests.sweep.points import Mode

_LEASE = timedelta(seconds=30)


def with_post(saga: str, input: Any, key: str, mode: str, at: int) -> Job:
    """Start a saga and have a worker carry it and its commands, and their participants in the same database;
    strike at point ``at``.
    """
    points = watch(mode, at)
    with registry.isolated(saga_of(saga)), in_one_thread(), _for_the_sweep_alone():
        patiently(lambda: class_of(saga).start(input, idempotency_key=key))
        for _ in range(3):  # until it waits for one reply, for the other, to the end
            built = patiently(lambda: runtime.build_worker(using="default", concurrency=4, once=True))
            built.run()
            _deliver()
    return told(points)


def finish_with_post(wanted: list[tuple[str, Any, str]]) -> Job:
    """Ask again for each saga, as clients do; have all carried to their end, and their commands with them."""
    with _for_the_sweep_alone():
        ended = finish_all(wanted, _deliver)
    _let_leases_run_out()
    return ended


def by_post(mode: str, at: int) -> Job:
    """Send all that is in the outbox and have it handled, as a worker's duties do; strike at point ``at``."""
    points = watch(mode, at)
    _deliver()
    return told(points)


def by_flow(mode: str, at: int) -> Job:
    """Have flows of sweeps go on, and nothing else; strike at point ``at``."""
    with _for_the_sweep_alone():
        return by_post(mode, at)


def _for_the_sweep_alone() -> AbstractContextManager[None]:
    """Have messages handled for consumers of sweeps alone: others only cost queries."""
    known = handlers.all()
    return handlers.isolated(
        *(one for one in known if "sweep" in one.topic or one.consumer == REPLY_CONSUMER)
    )


def _let_leases_run_out() -> None:
    """Have what comes next find all partitions free, also those that were struck and had nothing left."""
    for model in (OutboxPartition, InboxPartition):
        model.objects.update(owner=None, leased_until=None)


def _deliver() -> None:
    duties = [
        Duty("relay", lambda: Relay("default", ["default"], runtime.broker, lease=_LEASE).turn),
        Duty("handling", lambda: Handling("default", lease=_LEASE).turn),
    ]
    with mock.patch.object(duty, "_PAUSE", 0.0):
        found = [True]
        while any(found):
            found = [each.once() for each in duties]


def finish_post() -> Job:
    """Send and handle what is left, once the leases of those who died have run out."""
    with shift_clock(LATER):
        ended = by_post(Mode.NOTHING, 0)
    _let_leases_run_out()
    return ended


def finish_flow() -> Job:
    """Have what is left of flows of sweeps go on, once the leases of those who died have run out."""
    with _for_the_sweep_alone():
        return finish_post()


def by_pruning(mode: str, at: int) -> Job:
    """Delete messages that are done with, once they are old enough; strike at point ``at``."""
    with shift_clock(2 * get_settings().keep_messages):
        return struck(prune_messages, mode, at)
