"""Builds everything from settings and registered sagas: the one place that knows which part goes where."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from functools import cache, partial
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string

from django_saga import faults, ports
from django_saga.conf import get_settings
from django_saga.core.events import CancelRequested
from django_saga.dsl.handler import handlers
from django_saga.dsl.program import Program
from django_saga.dsl.registry import registry
from django_saga.engine import (
    announcing,
    atomic,
    attempt,
    graphs,
    inline,
    journal,
    publishing,
    remote,
    starter,
    wake,
)
from django_saga.engine.handle import SagaHandle
from django_saga.engine.intake import Suspects
from django_saga.engine.lanes import Executor
from django_saga.engine.tasks import Outcome, Recorded, Task
from django_saga.engine.worker import Worker
from django_saga.exceptions import IllegalTransition, OperationRefused, SagaNotFound
from django_saga.messaging.duty import Duty
from django_saga.messaging.fetching import Fetching
from django_saga.messaging.handling import Handling
from django_saga.messaging.housekeeping import Housekeeping, note_handlers
from django_saga.messaging.optimistic import Sender
from django_saga.messaging.relay import Relay
from django_saga.messaging.station import NOBODY, Station
from django_saga.models import InboxSubscription, SagaInstance
from django_saga.ports import Broker
from django_saga.store import definitions


class Engine:
    """What ``Saga.start()`` and its siblings call, through ``ports.engine()``."""

    start = staticmethod(starter.start)
    bulk_start = staticmethod(starter.bulk_start)
    run = staticmethod(inline.run)

    def get(self, program: Program | None, saga_id: UUID | str, *, using: str | None = None) -> SagaHandle:
        """Give the handle of a saga of ``program``'s name (None: any), in whatever version it was started."""
        using = using or get_settings().database
        try:
            key = saga_id if isinstance(saga_id, UUID) else UUID(str(saga_id))
            row = SagaInstance.objects.using(using).select_related("definition").get(pk=key)
        except (ValueError, SagaInstance.DoesNotExist):
            raise SagaNotFound(f"There is no saga {saga_id!s:.80}.") from None
        if program is not None and row.name != program.definition.name:
            raise SagaNotFound(f"Saga {saga_id} is of {row.name}, not of {program.definition.name}.")
        found = registry.get(row.name, row.definition.version)
        return SagaHandle(graphs.program_of(using, found, key), key, using)

    def cancel(self, saga_id: UUID, program: Program, *, using: str, reason: str = "") -> None:
        """Have a saga turn back. Raises ``OperationRefused`` when it cannot any more."""
        try:
            with transaction.atomic(using=using):
                recorded = journal.tell(using, saga_id, program.definition, CancelRequested(), why=reason)
                wake.after_commit(using)
        except IllegalTransition as error:
            raise OperationRefused(f"Saga {saga_id} cannot be cancelled: {error}.") from None
        announcing.after_commit(using, recorded.transitions)


# Adapters sit above this floor, so they are named, not imported.
_THREADS = "django_saga.executors.threads.ThreadExecutor"
_LOOP = "django_saga.executors.loop.LoopExecutor"

_engine = Engine()


def install() -> None:
    """Connect the parts; called once when Django starts. Touches no database."""
    ports.provide_engine(lambda: _engine)
    ports.provide_replies(remote.take_reply)
    wake.listen_here(wake.OUTBOX, Sender(partial(_relay_duty, polls=False)).hear)
    post_migrate.connect(_after_migrate, dispatch_uid="django_saga.definitions")
    if "SAGA_FAULTS" in os.environ and get_settings().fault_points:
        faults.arm(os.environ["SAGA_FAULTS"])
        faults.drop_connection = _drop_connection


def programs(using: str) -> dict[int, Program]:
    """Give all registered sagas by the id of their definition's row, written where it is new.

    Raises ``InvalidDefinition`` for a wrong definition, ``FingerprintConflict`` for one that changed under
    sagas in flight.
    """
    found = registry.all()
    for program in found:
        program.require_valid()
    ids = definitions.identify_all(using, [program.definition for program in found])
    return dict(zip(ids, found, strict=True))


def queues(found: dict[int, Program]) -> list[str]:
    """Give every queue that registered sagas use."""
    names = {step.queue for program in found.values() for step in program.definition.steps}
    return sorted(names) or ["default"]


def build_worker(
    *,
    using: str,
    queue_names: Sequence[str] | None = None,
    concurrency: int | None = None,
    lease: timedelta | None = None,
    drain_timeout: timedelta | None = None,
    once: bool = False,
    suspects: Suspects = Suspects.WHEN_IDLE,
) -> Worker:
    """Build a worker for this process; what is not given comes from settings."""
    settings = get_settings()
    found = programs(using)

    def executors(worker: Worker) -> dict[str, Executor]:
        def run(task: Task) -> Outcome | Recorded:
            return atomic.run(using, task, worker.holder()) if task.atomic else attempt.run(task)

        made: dict[str, Executor] = {
            "thread": import_string(_THREADS)(concurrency or settings.concurrency, run, worker.deliver)
        }
        if any(_is_async(program) for program in found.values()):
            made["async"] = import_string(_LOOP)(settings.async_concurrency, attempt.arun, worker.deliver)
        return made

    return Worker(
        using,
        found,
        queues=queue_names or queues(found),
        executors=executors,
        lease=lease or settings.lease,
        drain_timeout=settings.drain_timeout if drain_timeout is None else drain_timeout,
        once=once,
        suspects=suspects,
    )


# What a worker process may be told to do only.
PARTS = ("sagas", "relay", "consumer")

_TEN_MINUTES = 600.0

# Adapters of brokers, by the scheme of their URL.
SCHEMES = {
    "memory": "django_saga.brokers.memory.MemoryBroker",
    "redis": "django_saga.brokers.redis.RedisBroker",
    "rediss": "django_saga.brokers.redis.RedisBroker",
    "amqp": "django_saga.brokers.rabbitmq.RabbitBroker",
    "amqps": "django_saga.brokers.rabbitmq.RabbitBroker",
    "kafka": "django_saga.brokers.kafka.KafkaBroker",
}


def build_station(
    *, using: str, parts: Collection[str] = PARTS, once: bool = False, **options: Any
) -> Station:
    """Build a worker process with its parts; ``options`` are those of ``build_worker``."""
    duties: dict[str, list[Duty]] = {}
    handlings: list[Handling] = []
    told = []
    lease = options.get("lease") or get_settings().lease
    if "relay" in parts or "consumer" in parts:
        duties[NOBODY] = [Duty("housekeeping", lambda: Housekeeping(using).turn, every=_TEN_MINUTES)]
    if "relay" in parts:
        duties[wake.OUTBOX] = [_relay_duty(using, lease)]
        told.append(f"sends messages to {', '.join(get_settings().brokers)}")
    if "consumer" in parts and handlers.consumers():
        # Where the database has one lock for all, more threads would only wait for each other.
        side_by_side = connections[using].features.has_select_for_update and not once
        number = get_settings().handler_threads if side_by_side else 1
        told.append(f"handles messages for {', '.join(handlers.consumers())}")
        # Fetching first: where all is done once, what was fetched is handled in the same round.
        duties[NOBODY] += _fetching_duties(using, wait=timedelta(seconds=0 if once else 1))
        duties[wake.INBOX] = [_handling_duty(using, lease, each + 1, handlings) for each in range(number)]
    return Station(
        using,
        partial(build_worker, using=using, once=once, **options) if "sagas" in parts else None,
        duties,
        drain_timeout=options.get("drain_timeout") or get_settings().drain_timeout,
        once=once,
        hangs=lambda: any(each.hangs for each in handlings),
        told=told,
    )


def broker(name: str) -> Broker:
    """Give the broker that is called ``name`` in the settings. Raises ``ImproperlyConfigured``."""
    return _broker(name, os.getpid())


@cache  # for each process: a connection must not be shared with a child
def _broker(name: str, pid: int) -> Broker:
    settings = get_settings()
    url = settings.brokers.get(name)
    if url is None:
        known = ", ".join(settings.brokers)
        raise ImproperlyConfigured(f"DJANGO_SAGA['BROKERS'] has no broker {name!r}; it has {known}.")
    scheme = url.partition(":")[0]
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}:" for each in SCHEMES)
        raise ImproperlyConfigured(
            f"DJANGO_SAGA['BROKERS'][{name!r}] is of the unknown scheme {scheme!r}; known are {known}."
        )
    found: Broker = import_string(SCHEMES[scheme])(url, using=settings.database)
    return found


def _relay_duty(using: str, lease: timedelta | None = None, *, polls: bool = True) -> Duty:
    def build() -> Callable[[], bool]:
        settings = get_settings()
        return Relay(using, list(settings.brokers), broker, lease=lease or settings.lease).turn

    return Duty("relay", build, longest=get_settings().poll_interval.total_seconds() if polls else None)


def _handling_duty(using: str, lease: timedelta, number: int, handlings: list[Handling]) -> Duty:
    def build() -> Callable[[], bool]:
        handlings.append(Handling(using, lease=lease))
        return handlings[-1].turn

    return Duty(f"handling-{number}", build, longest=get_settings().poll_interval.total_seconds())


def _fetching_duties(using: str, *, wait: timedelta) -> list[Duty]:
    """Give what fetches messages: one for each consumer and broker that messages have to be fetched from."""
    found = []
    for consumer in handlers.consumers():
        topics: dict[str, list[str]] = {}
        for topic in handlers.topics_of(consumer):
            topics.setdefault(publishing.broker_of(topic), []).append(topic)
        for name, of_broker in topics.items():
            if broker(name).features.in_database:
                continue
            fetching = Fetching(using, consumer, of_broker, partial(broker, name), wait=wait)
            build = partial(_turn_of, fetching)
            found.append(Duty(f"fetching-{consumer}-{name}", build, end=fetching.close))
    return found


def _turn_of(fetching: Fetching) -> Callable[[], bool]:
    return fetching.turn


def _is_async(program: Program) -> bool:
    return any(step.is_async or (step.undo and step.undo.is_async) for step in program.definition.steps)


def _after_migrate(*, using: str, app_config: Any, **_: Any) -> None:
    """Write the rows of definitions and handlers once the tables are there: ``start()`` finds the ones, and
    workers with older code the others.
    """
    if app_config.label != "django_saga" or using != get_settings().database:
        return
    definitions.forget()
    if not _has_tables(using):
        return
    definitions.identify_all(using, [each.definition for each in registry.all() if not each.problems])
    note_handlers(using)


def _has_tables(using: str) -> bool:
    there = connections[using].introspection.table_names()
    return all(model._meta.db_table in there for model in (SagaInstance, InboxSubscription))


def _drop_connection() -> None:
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            connection.connection.close()
