"""Carries sagas in a test as workers would: by the same claims and the same journal, one attempt at a time.

The clock is held and chance is taken out, so that the order is the same in every run: what is due first goes
first; of what is due at once, the oldest saga, and of its steps the one written first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from django.db.models import Min

from django_saga import ports, runtime
from django_saga.conf import get_settings
from django_saga.core import lanes
from django_saga.core.states import CLAIMABLE_STEP, LIVE_SAGA, LIVE_STEP, SagaStatus, StepStatus
from django_saga.core.waits import NEVER
from django_saga.dsl.program import Program
from django_saga.dsl.registry import registry
from django_saga.dsl.step import Compensation, Step
from django_saga.engine import announcing, atomic, attempt, connections, inline, journal, locking, recovery
from django_saga.engine.admission import Admission
from django_saga.engine.graphs import program_of
from django_saga.engine.handle import SagaHandle
from django_saga.engine.tasks import Recorded, Task
from django_saga.exceptions import OutcomeUnknown, PermanentFailure, SagaError
from django_saga.models import SagaDefinition, SagaInstance, SagaStep
from django_saga.store import clock, waiting
from django_saga.testing import answers
from django_saga.testing.plan import Crash, Failure, Fault, Plan, place
from django_saga.testing.telling import stories

_FORWARD = (SagaStatus.PENDING, SagaStatus.RUNNING)


class SagaLab:
    """A context manager in which a test has its sagas carried, on a clock of its own, with planned faults.

    It carries all sagas of the database ``using`` (by default the setting ``DATABASE``), those of
    ``Saga.run()`` too. Saga time stands still but for ``run`` and ``advance``. A fault that was planned and
    befell no attempt fails the test when the block ends. An error that leaves the block gets the sagas'
    stories as a note.
    """

    def __init__(self, using: str | None = None) -> None:
        self.using = using or get_settings().database
        self.plan = Plan()
        self._programs: dict[int, Program] = {}
        self._carried: dict[UUID, None] = {}
        self._answers: dict[str, Any] = {}
        self._owner = uuid4()
        self._looked_at: datetime | None = None
        self._move: Callable[[timedelta], None]
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            self._move = entered.enter_context(clock.held(self.using))
            entered.enter_context(_without_chance())
            entered.enter_context(_in_front_of_the_engine(self))
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._entered:
            if isinstance(error, Exception):
                self._note(error)
        if error is None and (left := self.plan.never_struck()):
            raise self._note(AssertionError(f"Planned, but no attempt came there: {', '.join(left)}."))

    # --- faults -----------------------------------------------------------------------------------

    def fail_at(
        self,
        step: str | Step | Compensation,
        failure: Failure | None = None,
        *,
        after_effect: bool = False,
        undo: bool = False,
        times: int | None = 1,
    ) -> None:
        """Have the next ``times`` attempts of ``step`` (None: each) raise ``failure``, an error or its class.

        The step's function does not run, or, ``after_effect``, has run. Without a ``failure`` the first is a
        ``PermanentFailure``, the second ``OutcomeUnknown``, as when an answer is lost. ``undo``: of the
        step's compensation. Raises ``ValueError`` for a step that no saga has.
        """
        failure = failure or (
            OutcomeUnknown("the test lost the answer")
            if after_effect
            else PermanentFailure("the test had it fail")
        )
        self._planned("fail_at", step, undo, times=times, failure=_raised(failure), after_effect=after_effect)

    def crash_at(
        self,
        step: str | Step | Compensation,
        *,
        after_effect: bool = False,
        undo: bool = False,
        times: int | None = 1,
    ) -> None:
        """Have the process of the next ``times`` attempts of ``step`` die, as far as sagas can tell.

        Nothing is recorded, and what an atomic step wrote is rolled back. When the lease has run out the step
        is taken over. Raises as ``fail_at`` does.
        """
        self._planned("crash_at", step, undo, times=times, failure=Crash, after_effect=after_effect)

    def duplicate(
        self, step: str | Step | Compensation, *, undo: bool = False, times: int | None = 1
    ) -> None:
        """Have the function of ``step`` run twice in the next ``times`` attempts, with the same key.

        What an atomic one writes the first time is rolled back, as after a deadlock. Raises as ``fail_at``
        does.
        """
        self._planned("duplicate", step, undo, times=times, calls=2)

    def cancel_at(self, step: str | Step) -> None:
        """Have the saga cancelled while the next attempt of ``step`` is in flight.

        Raises as ``fail_at`` does.
        """
        self._planned("cancel_at", step, False, cancels=True)

    def answer(self, step: str | Step, answer: Any = None) -> None:
        """Have each ``step`` that waits for an event, for approval or for a reply get it as soon as it waits.

        ``answer`` is the payload of the event, what the person fills in, or the result of a command, or a
        ``PermanentFailure`` if that fails; the command that undoes it succeeds. Raises ``ValueError`` for a
        step that no saga has.
        """
        self._answers[place(step, undo=False).step] = answer

    def _planned(self, verb: str, step: str | Step | Compensation, undo: bool, **facts: Any) -> None:
        where = place(step, undo=undo)
        self.plan.add(
            Fault(told=f"{verb}({where.step!r}{', undo=True' if where.undo else ''})", place=where, **facts)
        )

    # --- time and work ----------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time of sagas."""
        return clock.now(self.using)

    def step(self) -> str | None:
        """Carry out the next attempt that is due; give what it was (``charge:do``, ``charge:undo``), or None.

        Raises ``SagaError`` inside ``transaction.atomic()``, where nothing can be committed.
        """
        inline.require_no_transaction(self.using)
        self._rescue()
        if self._answers:
            self._learn()
            answers.give(self.using, self._programs, self._answers)
        waiting.sweep(self.using)  # in a test case's own transaction nothing that follows a commit happens
        while (row := self._next() or (self._next() if self._let_in() else None)) is not None:
            task = self._claim(row)
            if task is not None:
                break
        else:
            return None
        self._carried[row.saga_id] = None
        self._carry(task)
        return task.idempotency_key.partition(":")[2]

    def run(self, *, limit: int = 1000) -> None:
        """Carry all sagas until nothing is left to do, passing the time that retries and leases wait for.

        Raises ``AssertionError`` when that takes more than ``limit`` attempts and waits.
        """
        self._go_on(None, limit, lambda: True)

    def advance(self, by: timedelta | None = None, **units: float) -> None:
        """Let time pass (``advance(hours=2)``, units as of ``timedelta``) and carry what is due by then, each
        attempt at its time.
        """
        until = self.now + (by or timedelta(0)) + timedelta(**units)
        self._go_on(until, 1000, lambda: True)
        self._move(until - self.now)

    def carry(self, saga: SagaHandle) -> None:
        """Carry sagas as ``run`` does until ``saga`` is at rest."""
        self._go_on(None, 1000, lambda: saga.status in LIVE_SAGA)

    def story(self, *, unless_in: str = "") -> str:
        """Tell what happened to the sagas carried so far, but for those told in the text ``unless_in``."""
        return stories(self._carried, self.using, unless_in=unless_in)

    def _note(self, error: Exception) -> Exception:
        """Give ``error`` the stories as a note, but for those it has already."""
        if story := self.story(unless_in="".join(getattr(error, "__notes__", []))):
            error.add_note(story)
        return error

    def _go_on(self, until: datetime | None, limit: int, wanted: Callable[[], bool]) -> None:
        for _ in range(limit):
            if not wanted():
                return
            if self.step() is None and not self._wait(until):
                return
        raise self._note(AssertionError(f"Sagas are not at rest after {limit} attempts and waits."))

    def _wait(self, until: datetime | None) -> bool:
        """Move the clock to the next time at which something is due; False: there is none by ``until``."""
        self._learn()  # what was started since, for later, may be of another saga
        now, known = self.now, list(self._programs)
        steps = (
            SagaStep.objects.using(self.using)
            .filter(status__in=LIVE_STEP, due_at__gt=now, due_at__lt=NEVER, definition_id__in=known)
            .exclude(executor__contains="/")
        )
        sagas = SagaInstance.objects.using(self.using).filter(
            status__in=_FORWARD, deadline_at__gt=now, definition_id__in=known
        )
        alarms = [steps.aggregate(at=Min("due_at"))["at"], sagas.aggregate(at=Min("deadline_at"))["at"]]
        at = min((at for at in alarms if at is not None), default=None)
        if at is None or (until is not None and at > until):
            return False
        self._move(at - now)
        return True

    # --- what a worker does -----------------------------------------------------------------------

    def _rescue(self) -> None:
        """Take over from lost workers and turn back late sagas, once for each time on the clock."""
        now = self.now
        if self._looked_at == now:
            return
        self._learn()
        for recorded in recovery.rescue(self.using, self._programs):
            announcing.announce(recorded)
        self._looked_at = now

    def _let_in(self) -> bool:
        """Have sagas begin whose locks have become free; give whether there were any."""
        self._learn()
        found = list(locking.let_in(self.using, self._programs))
        for recorded in found:
            announcing.announce(recorded)
        return bool(found)

    def _learn(self) -> None:
        """Find the code of every definition that the database has seen."""
        known = {(each.definition.name, each.definition.version): each for each in registry.all()}
        rows = SagaDefinition.objects.using(self.using).values_list("pk", "name", "version")
        self._programs = {
            key: known[name, version] for key, name, version in rows if (name, version) in known
        }

    def _next(self) -> SagaStep | None:
        due = (
            SagaStep.objects.using(self.using)
            .filter(status__in=CLAIMABLE_STEP, due_at__lte=self.now)
            .exclude(executor__contains="/")  # paused
            .defer("result", "compensation_data", "undo_result", "error")
        )
        rows = list(due)
        if any(row.definition_id not in self._programs for row in rows):
            self._learn()
        return min((row for row in rows if row.definition_id in self._programs), key=self._rank, default=None)

    def _rank(self, row: SagaStep) -> tuple[datetime | None, UUID, int]:
        program = program_of(self.using, self._programs[row.definition_id], row.saga_id)
        written = list(program.definition.by_name).index(row.name)
        undo = row.status == StepStatus.UNDO_SCHEDULED
        return row.due_at, row.saga_id, -written if undo else written

    def _claim(self, row: SagaStep) -> Task | None:
        """Claim a step; None: it is paused, and was put aside."""
        claimed = Admission(self.using, self._programs, limited=False).claim(
            owner=self._owner,
            queue=row.queue,
            executor=row.executor,
            limit=1,
            lease=get_settings().lease,
            step_id=row.pk,
        )
        tasks = recovery.load(self.using, self._programs, claimed)
        row.refresh_from_db(fields=["executor"])
        if not tasks and lanes.is_open(row.executor):
            raise SagaError(f"Step {row.name} of saga {row.saga_id} is locked, or a worker has taken it.")
        return tasks[0] if tasks else None

    def _carry(self, task: Task) -> None:
        self.plan.befall(self.using, task)
        try:
            ended = atomic.run(self.using, task, None) if task.atomic else attempt.run(task)
        except Crash:
            self._owner = uuid4()  # whoever comes after is another
            return
        finally:
            connections.refresh()
        recorded = ended if isinstance(ended, Recorded) else journal.record(self.using, [ended], None)
        announcing.announce(recorded)


class _Engine(runtime.Engine):
    """The engine while a lab is open: it carries what is to be run at once."""

    def __init__(self, lab: SagaLab) -> None:
        self._lab = lab

    def run(
        self, program: Program, text: str, *, idempotency_key: str | None = None, using: str | None = None
    ) -> SagaHandle:
        """Start a saga and have the lab carry it."""
        using = using or get_settings().database
        if using != self._lab.using:
            raise SagaError(f"This SagaLab carries sagas of the database {self._lab.using!r}, not {using!r}.")
        inline.require_no_transaction(using)
        handle = self.start(program, text, idempotency_key=idempotency_key, using=using)
        self._lab.carry(handle)
        return handle


@contextmanager
def _in_front_of_the_engine(lab: SagaLab) -> Iterator[None]:
    before, engine = ports.engine(), _Engine(lab)
    ports.provide_engine(lambda: engine)
    try:
        yield
    finally:
        ports.provide_engine(lambda: before)


@contextmanager
def _without_chance() -> Iterator[None]:
    before, attempt.chance = attempt.chance, lambda: 0.0
    try:
        yield
    finally:
        attempt.chance = before


def _raised(failure: Failure) -> Callable[[], BaseException]:
    return failure if isinstance(failure, type) else lambda: failure.with_traceback(None)
