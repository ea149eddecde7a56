"""Carries one saga in the caller's process, with the durability of a worker: if the process dies, a worker
takes over.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.db import connections as django_connections

from django_saga.conf import get_settings
from django_saga.core import lanes
from django_saga.core.states import CLAIMABLE_STEP, LIVE_SAGA, SagaStatus
from django_saga.core.waits import NEVER
from django_saga.dsl.registry import registry
from django_saga.engine import (
    announcing,
    atomic,
    attempt,
    connections,
    journal,
    keeping,
    locking,
    recorder,
    recovery,
    starter,
)
from django_saga.engine.admission import Admission
from django_saga.engine.handle import SagaHandle
from django_saga.engine.journal import Holder
from django_saga.engine.tasks import Outcome, Recorded, Task
from django_saga.exceptions import SagaError
from django_saga.models import SagaInstance, SagaStep
from django_saga.store import children, definitions, waiting
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

_FIRST_LOOK, _LONGEST_LOOK = 0.002, 0.1
_TRIES = 10


def run(
    program: Program, text: str, *, idempotency_key: str | None = None, using: str | None = None
) -> SagaHandle:
    """Start a saga and carry it out here, one step at a time, until it ends; give its handle.

    Must not be called inside a transaction: each step commits on its own. Steps whose retry is not due yet
    are waited for.
    """
    using = using or get_settings().database
    require_no_transaction(using)
    owner, lease = uuid4(), get_settings().lease
    admission = Admission(using, _programs(using, program))
    admission.look()
    saga_id, new = starter.start_owned(
        program,
        text,
        idempotency_key=idempotency_key,
        using=using,
        owner=owner,
        lease=lease,
        admits=admission.hands_over,
    )
    handle = SagaHandle(program, saga_id, using)
    tasks: list[Task] = []
    if new is not None:
        tasks = [Task(row, program, text, using=using) for row in new.steps if row.owned]
    _Runner(program, handle, owner, lease, admission).finish(tasks)
    return handle


def _programs(using: str, program: Program) -> dict[int, Program]:
    """Give the code of the saga and of all that may be started below it, by the ids of their definitions."""
    found: dict[int, Program] = {}
    line = [program.registered]
    while line:
        one = line.pop()
        found[definitions.identify(using, one.definition)] = one
        waits = [step.wait for step in one.definition.steps if step.wait and step.wait.has_children]
        line += [registry.get(wait.name, wait.version) for wait in waits]
    return found


def require_no_transaction(using: str) -> None:
    """Refuse to carry sagas where nothing can be committed. A test case's own transaction is no obstacle, as
    for Django's durable blocks. Raises ``SagaError``.
    """
    blocks = django_connections[using].atomic_blocks
    if blocks and not blocks[-1]._from_testcase:  # type: ignore[attr-defined]
        raise SagaError(
            "A saga commits after every step, so none can be carried inside transaction.atomic(). Do it "
            "after the block, or start() inside: the saga is carried on once the block commits."
        )


class _Always:
    """Room for whatever may begin: one saga is carried at its own pace."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def take(self, row: StepRow) -> bool:
        return self._admission.hands_over(row)

    def give_back(self) -> None:
        return None


class _Runner:
    """Owns steps of one saga and carries them out in the caller's thread."""

    def __init__(
        self, program: Program, handle: SagaHandle, owner: UUID, lease: timedelta, admission: Admission
    ) -> None:
        self._program = program
        self._handle = handle
        self._using = handle.using
        self._owner = owner
        self._lease = lease
        self._programs = _programs(handle.using, program)
        self._admission = admission
        self._holder = Holder(owner, lease, _Always(admission))

    def finish(self, tasks: list[Task]) -> None:
        """Carry out ``tasks`` and what comes of them, then whatever of the saga is due, until it is at
        rest.
        """
        line = deque(tasks)
        look = _FIRST_LOOK
        while True:
            while line:
                look = _FIRST_LOOK
                recorded = self._carry(line.popleft(), line)
                if any(ended.saga_id == self._handle.id for ended in recorded.finished):
                    return
                line.extend(recorded.tasks)
            if self._status() not in LIVE_SAGA:
                return
            # A retry that is not due yet, or a step that some worker has: look again, ever less often.
            line.extend(self._claim())
            if not line:
                if look >= _LONGEST_LOOK:
                    self._rescue()
                time.sleep(look)
                look = min(look * 1.5, _LONGEST_LOOK)

    def _carry(self, task: Task, line: deque[Task]) -> Recorded:
        with keeping.leases(self._using, self._owner, self._lease, [task, *line]):
            if task.atomic:
                ended: Outcome | Recorded = atomic.run(self._using, task, self._holder)
            else:
                ended = attempt.run(task)
                # What the step left open is not to hold what is recorded now.
                connections.refresh()
            recorded = ended if isinstance(ended, Recorded) else self._record(ended)
        with keeping.leases(self._using, self._owner, self._lease, [*recorded.tasks, *line]):
            announcing.announce(recorded)
        return recorded

    def _record(self, outcome: Outcome) -> Recorded:
        wait = 0.05
        for tries in range(_TRIES):
            try:
                return journal.record(self._using, [outcome], self._holder)
            except recorder.DATABASE_ERRORS:
                if tries == _TRIES - 1 or django_connections[self._using].in_atomic_block:
                    raise  # nothing is lost: when the lease runs out a worker takes over
                connections.refresh(self._using, after_error=True)
                time.sleep(wait)
                wait = min(wait * 2, 2.0)
        raise AssertionError("unreachable")

    def _rescue(self) -> None:
        """Do what workers do for sagas whose process is gone, whose time is up or whose turn has come: there
        may be no worker.
        """
        waiting.sweep(self._using)
        found = [recovery.reap(self._using, self._programs)]
        found += recovery.enforce_deadlines(self._using, self._programs)
        found += locking.let_in(self._using, self._programs)
        for recorded in found:
            if recorded is not None:
                announcing.announce(recorded)

    def _status(self) -> SagaStatus:
        row = SagaInstance.objects.using(self._using).only("status").get(pk=self._handle.id)
        return SagaStatus(row.status)

    def _claim(self) -> list[Task]:
        """Claim due steps of this saga, whatever their queue; first come those that a commit whose reply was
        lost gave to this runner.
        """
        held = self._admission.still(recovery.unheard(self._using, self._owner, {}))
        tasks = recovery.load(self._using, self._programs, held)
        for saga_id in self._family():
            tasks += self._claim_of(saga_id)
            if tasks:
                break
        return tasks

    def _family(self) -> Iterator[UUID]:
        """Give the saga and what it started, and what those started, as far as they have not ended."""
        generation = [self._handle.id]
        while generation:
            yield from generation
            generation = children.open_below(self._using, generation) if len(self._programs) > 1 else []

    def _claim_of(self, saga_id: UUID) -> list[Task]:
        tasks: list[Task] = []
        due = (
            SagaStep.objects.using(self._using)
            .filter(saga_id=saga_id, status__in=CLAIMABLE_STEP, due_at__lt=NEVER)
            .values_list("queue", "executor")
            .distinct()
        )
        for queue, executor in due:
            if not lanes.is_open(executor):
                continue
            rows = self._admission.claim(
                owner=self._owner,
                queue=queue,
                executor=executor,
                limit=10,
                lease=self._lease,
                saga_id=saga_id,
            )
            tasks += recovery.load(self._using, self._programs, rows)
        return tasks
