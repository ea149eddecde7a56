"""Builds everything from settings and registered sagas: the one place that knows which part goes where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string

from django_saga import faults, ports
from django_saga.conf import get_settings
from django_saga.core.events import CancelRequested
from django_saga.dsl.program import Program
from django_saga.dsl.registry import registry
from django_saga.engine import announcing, atomic, attempt, graphs, inline, journal, starter, wake
from django_saga.engine.handle import SagaHandle
from django_saga.engine.intake import Suspects
from django_saga.engine.lanes import Executor
from django_saga.engine.tasks import Outcome, Recorded, Task
from django_saga.engine.worker import Worker
from django_saga.exceptions import IllegalTransition, OperationRefused, SagaNotFound
from django_saga.models import SagaInstance
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


def _is_async(program: Program) -> bool:
    return any(step.is_async or (step.undo and step.undo.is_async) for step in program.definition.steps)


def _after_migrate(*, using: str, app_config: Any, **_: Any) -> None:
    """Write the definitions' rows once the tables are there, so that ``start()`` finds them."""
    if app_config.label != "django_saga" or using != get_settings().database:
        return
    definitions.forget()
    if not _has_tables(using):
        return
    definitions.identify_all(using, [each.definition for each in registry.all() if not each.problems])


def _has_tables(using: str) -> bool:
    return SagaInstance._meta.db_table in connections[using].introspection.table_names()


def _drop_connection() -> None:
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            connection.connection.close()
