"""What the fork server's children do. Each is a process of its own, with connections of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from unittest import mock

from django.db import DatabaseError, connection
from django.db.models import Q

from django_saga import ComposedSaga, Saga, do_once, faults, operations, runtime, send_event, undo_once
from django_saga.core.states import CLAIMABLE_STEP, LIVE_SAGA
from django_saga.dsl.program import Program
from django_saga.dsl.registry import registry
from django_saga.engine import attempt, connections, recorder, recovery, worker
from django_saga.engine.tasks import Task
from django_saga.models import SagaInstance, SagaStep
from django_saga.store import claims, clock, waiting
from django_saga.store.rows import StepRow
from django_saga.testing import shift_clock
from tests import ledger
from tests.sagas.sweep_sagas import STEPS
from tests.sweep.points import DROPS, Mode, Points

Job = dict[str, Any]
# Beyond every lease and every wait of a retry.
LATER = timedelta(hours=1)


def by_worker(saga: str, input: Any, key: str, mode: str, at: int) -> Job:
    """Start a saga and have a worker carry it, in one thread; strike at point ``at``."""
    points = watch(mode, at)
    with registry.isolated(saga_of(saga)), in_one_thread():
        saga_id = patiently(lambda: class_of(saga).start(input, idempotency_key=key)).id
        # Others that were struck wait for ``finish``.
        claims.claim = partial(claims.claim, saga_id=saga_id)
        built = patiently(lambda: runtime.build_worker(using="default", concurrency=4, once=True))
        built.run()
    return told(points)


def by_caller(saga: str, input: Any, key: str, mode: str, at: int) -> Job:
    """Carry a saga by ``Saga.run()``; strike at point ``at``. The caller may hear of a broken connection."""
    points = watch(mode, at)
    try:
        class_of(saga).run(input, idempotency_key=key)
    except DatabaseError:
        assert mode in DROPS, "only a broken connection is an excuse"
        assert points.reached
    return told(points)


def in_turns(saga: str, input: Any, key: str, mode: str, at: int) -> Job:
    """Start two sagas for the same lock, the second with " again" in its key, and have a worker carry the one
    and then the other, in one thread; strike at point ``at``.
    """
    points = watch(mode, at)
    with registry.isolated(saga_of(saga)), in_one_thread():
        first, second = (
            patiently(partial(class_of(saga).start, input, idempotency_key=each)).id
            for each in (key, f"{key} again")
        )
        claim = claims.claim

        def of_the_two(using: str, **options: Any) -> list[StepRow]:
            return claim(using, saga_id=first, **options) or claim(using, saga_id=second, **options)

        claims.claim = of_the_two
        built = patiently(lambda: runtime.build_worker(using="default", concurrency=4, once=True))
        built.run()
    return told(points)


def with_children(saga: str, input: Any, key: str, mode: str, at: int) -> Job:
    """Start a saga and have a worker carry it and those it starts, in one thread; strike at point ``at``."""
    points = watch(mode, at)
    with registry.isolated(*_family([saga])), in_one_thread():
        saga_id = patiently(lambda: class_of(saga).start(input, idempotency_key=key)).id
        claim = claims.claim

        def of_the_family(using: str, **options: Any) -> list[StepRow]:
            with points.aside():
                due = SagaStep.objects.filter(_of_family(saga_id), status__in=CLAIMABLE_STEP)
                first = due.filter(due_at__lte=clock.now(using)).order_by("due_at", "pk").first()
            return claim(using, saga_id=first.saga_id if first else saga_id, **options)

        claims.claim = of_the_family
        built = patiently(lambda: runtime.build_worker(using="default", concurrency=4, once=True))
        built.run()
    return told(points)


def _of_family(saga_id: Any) -> Q:
    """Say which steps are a saga's own, or of those that its steps started."""
    return Q(saga=saga_id) | Q(saga__parent_step__in=SagaStep.objects.filter(saga=saga_id).values("pk"))


def with_event(saga: str, input: Any, key: str, mode: str, at: int) -> Job:
    """Start a saga, have a worker carry it until it waits, send the event and have it carried on; strike at
    point ``at``.
    """
    points = watch(mode, at)
    with registry.isolated(saga_of(saga)), in_one_thread():
        saga_id = patiently(lambda: class_of(saga).start(input, idempotency_key=key)).id
        claims.claim = partial(claims.claim, saga_id=saga_id)
        for _ in range(2):
            built = patiently(lambda: runtime.build_worker(using="default", concurrency=4, once=True))
            built.run()
            patiently(lambda: _tell(saga_id))
    return told(points)


def _tell(saga_id: Any) -> None:
    send_event("sweep.told", "news", saga=saga_id, event_id="the only one")


def finish_with_event(wanted: list[tuple[str, Any, str]]) -> Job:
    """Ask again for each saga and send its event again, as clients do; have them carried to their end."""
    for saga, input, key in wanted:
        _tell(class_of(saga).start(input, idempotency_key=key).id)
    return finish(wanted)


def by_rescuer(saga: str, mode: str, at: int) -> Job:
    """Rescue what a process lost long ago left of its sagas, as a caretaker does; strike at point ``at``."""
    points = watch(mode, at)
    with registry.isolated(saga_of(saga)), shift_clock(LATER):
        programs = patiently(lambda: runtime.programs("default"))
        while patiently(lambda: recovery.reap("default", programs)):
            pass
        patiently(lambda: recovery.enforce_deadlines("default", programs))
    return told(points)


def by_operator(action: str, key: str, mode: str, at: int, **arguments: Any) -> Job:
    """Do ``action`` to the saga started with ``key``; strike at point ``at``. The operator may hear of it."""
    saga_id = SagaInstance.objects.get(idempotency_key=key).pk
    act = getattr(operations, action)
    by_keyword = action in ("pause", "resume")
    whom = partial(act, saga=saga_id) if by_keyword else partial(act, saga_id)
    return _operate(whom, mode, at, **arguments)


def by_operator_on_name(action: str, definition: str, mode: str, at: int) -> Job:
    """Do ``action`` to all sagas of a name; strike at point ``at``. The operator may hear of it."""
    return _operate(getattr(operations, action), mode, at, definition=definition)


def _operate(act: Callable[..., None], mode: str, at: int, **arguments: Any) -> Job:
    connections.close()
    points = watch(mode, at)
    try:
        act(by="a person", **arguments)
    except (DatabaseError, connection.Database.Error):  # type: ignore[attr-defined]
        # With mysqlclient Django lets the driver's own error through, which closing the cursor raises.
        assert mode in DROPS, "only a broken connection is an excuse"
        assert points.reached
    return told(points)


def by_migration(
    name: str, from_version: int, to_version: int, mapping: dict[str, str], key: str, mode: str, at: int
) -> Job:
    """Move the saga started with ``key`` to another version; strike at point ``at``."""
    saga_id = SagaInstance.objects.get(idempotency_key=key).pk
    # Others that were struck wait until it is done for all.
    operations.migrations._found = lambda using, definition_id: iter([[saga_id]])
    connections.close()
    points = watch(mode, at)
    try:
        operations.migrate_sagas(
            name, from_version=from_version, to_version=to_version, mapping=mapping, by="a person"
        )
    except (DatabaseError, connection.Database.Error):  # type: ignore[attr-defined]
        assert mode in DROPS, "only a broken connection is an excuse"
        assert points.reached
    return told(points)


def by_participant(key: str, mode: str, at: int) -> Job:
    """Have an effect, guarded by ``key``; strike at point ``at``. Whoever asked may hear of it."""
    return struck(partial(do_once, f"{key}:do", partial(_effect, key)), mode, at)


def by_participant_undoing(key: str, mode: str, at: int) -> Job:
    """Undo an effect that is guarded by ``key``; strike at point ``at``. Whoever asked may hear of it."""
    undo = partial(_effect, key, "undo")
    return struck(partial(undo_once, f"{key}:undo", lambda result: undo()), mode, at)


def _effect(key: str, kind: str = "do") -> str:
    ledger.effect(key, kind)
    return kind


def struck(do: Callable[[], Any], mode: str, at: int) -> Job:
    points = watch(mode, at)
    try:
        do()
    except DatabaseError:
        assert mode in DROPS, "only a broken connection is an excuse"
        assert points.reached
    return told(points)


def lose_a_process(saga: str, input: Any, key: str, fault: str) -> Job:
    """Be killed at the fault point ``fault`` while carrying a saga."""
    faults.arm(f"{fault}=kill9")
    return by_worker(saga, input, key, Mode.NOTHING, 0)


def finish(wanted: list[tuple[str, Any, str]]) -> Job:
    """Ask again for each saga (name, input, key), as a client does; have workers carry all to their end."""
    return finish_all(wanted, lambda: None)


def finish_all(wanted: list[tuple[str, Any, str]], meanwhile: Callable[[], None]) -> Job:
    for saga, input, key in wanted:
        class_of(saga).start(input, idempotency_key=key)
    with registry.isolated(*_family({saga for saga, _, _ in wanted})):
        programs = runtime.programs("default")
        for hours in count(2):
            with shift_clock(hours * LATER):
                while recovery.reap("default", programs):
                    pass
                waiting.sweep("default")
                runtime.build_worker(using="default", concurrency=2, once=True).run()
                meanwhile()
            live = SagaInstance.objects.filter(status__in=LIVE_SAGA)
            if not live.exists():
                return {"rounds": hours - 1}
            left = list(live.values_list("idempotency_key", flat=True)[:5])
            assert hours < 12, f"sagas that do not end: {left}"
    raise AssertionError("unreachable")


class AtOnce:
    """An executor that runs each task where it is handed over: all runs pass their points in one order."""

    def __init__(self, size: int, run: Callable[[Task], Any], deliver: Callable[[Task, Any], None]) -> None:
        # Room for a graph's branches, so that they are recorded together.
        self.size = 4
        self.hung = 0
        self._run = attempt.run if run is attempt.arun else run
        self._deliver = deliver

    def start(self) -> None:
        """Nothing is to be started."""

    def submit(self, task: Task) -> None:
        """Run ``task`` now."""
        connections.before_step()
        ended = self._run(task)
        connections.refresh()
        self._deliver(task, ended)

    def revoke(self) -> list[Task]:
        """Give back nothing: whatever was handed over has ended."""
        return []

    def abandon(self, task: Task) -> None:
        """Never asked for: steps of a sweep do not hang."""
        raise AssertionError(f"{task.row.name} hangs")

    def stop(self) -> None:
        """Nothing is to be stopped."""


def in_one_thread() -> ExitStack:
    """Let workers of this process run in one thread: without a caretaker, by a clock that ticks when it is
    read, and without waiting for a database that is there again at once.
    """
    ticks = (number / 1000 for number in count())
    name = f"{__name__}.{AtOnce.__name__}"
    stack = ExitStack()
    stack.enter_context(mock.patch.object(runtime, "_THREADS", name))
    stack.enter_context(mock.patch.object(runtime, "_LOOP", name))
    stack.enter_context(mock.patch.object(worker, "Caretaker", mock.Mock()))
    stack.enter_context(mock.patch.object(recorder, "FIRST_WAIT", 0.0))
    stack.enter_context(mock.patch.object(time, "monotonic", mock.Mock(side_effect=ticks)))
    return stack


def watch(mode: str, at: int) -> Points:
    assert connection.connection is None, "a forked connection would be shared"
    points = Points(Mode(mode), at)
    points.watch()
    return points


def told(points: Points) -> Job:
    return {"reached": points.reached, "passed": points.passed}


def patiently(do: Callable[[], Any]) -> Any:
    """Do it again after the connection broke: as clients, supervisors and caretakers do."""
    while True:
        try:
            return do()
        except DatabaseError:
            connections.refresh()


def _family(names: Collection[str]) -> list[Program]:
    """Give all versions of these sagas, those of their items included, and no other saga of the tests: a
    worker looks each one up before it begins.
    """
    return [each for each in registry.all() if each.definition.name.partition(".")[0] in names]


def saga_of(name: str) -> Program:
    return registry.get(name, 1)


def class_of(name: str) -> type[Saga]:
    found = saga_of(name).saga
    assert issubclass(found, Saga)
    return found.compose(STEPS) if issubclass(found, ComposedSaga) else found
