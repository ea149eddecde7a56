"""Faults that a test plans for attempts of a step, and how one of them befalls an attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from django.db import transaction

from django_saga import ports
from django_saga.core.problem import did_you_mean
from django_saga.dsl.registry import registry
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import Compensation, Step, StepFunction
from django_saga.engine.context import Context
from django_saga.engine.tasks import Task

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

Failure = Exception | type[Exception]


class Crash(BaseException):
    """The process of the attempt dies here, as far as the engine can tell."""


@dataclass(frozen=True)
class Place:
    """A step, or its compensation when ``undo``; of the saga ``saga``, or of any (empty)."""

    step: str
    undo: bool = False
    saga: str = ""

    def __str__(self) -> str:
        return f"{self.step}:{'undo' if self.undo else 'do'}"

    def holds(self, task: Task) -> bool:
        """True when ``task`` is an attempt at this place."""
        saga = self.saga in ("", task.program.definition.name)
        return (
            saga
            and not (task.probing or task.asking)
            and (self.step, self.undo) == (task.row.name, task.undo)
        )


def place(step: str | Step | Compensation, *, undo: bool) -> Place:
    """Give the place that a test means. Raises ``ValueError`` when no saga has it."""
    if not isinstance(step, str):
        undo = undo or isinstance(step, Compensation)
        step = step.step_name
    steps = [one for program in _programs() for one in program.definition.steps]
    known = {one.name for one in steps if one.undo or not undo}
    if step not in known:
        what = "compensation of a step" if undo else "step"
        raise ValueError(f"No saga has a {what} {step!r}.{did_you_mean(step, known)}")
    return Place(step, undo)


def _programs() -> list[Program]:
    """Give the programs of all registered sagas, and of those that were composed of their actions."""
    known = registry.all()
    others = [vars(saga).get("program") for saga in Saga.__subclasses__()]
    return [*known, *(each for each in others if each is not None and each.home in known)]


@dataclass(eq=False, kw_only=True)
class Fault:
    """What befalls the next ``times`` attempts at a place (None: each).

    ``failure`` is raised before the step's function runs, or after it. The function runs ``calls`` times.
    ``cancels``: the saga is told to turn back while the attempt is in flight.
    """

    told: str
    place: Place
    times: int | None = 1
    failure: Callable[[], BaseException] | None = None
    after_effect: bool = False
    calls: int = 1
    cancels: bool = False
    struck: int = field(default=0, init=False)

    @property
    def spent(self) -> bool:
        """True when it has befallen as many attempts as it was planned for."""
        return self.times is not None and self.struck >= self.times


class Plan:
    """The faults of one test, in the order they were planned."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Plan ``fault``, behind those planned for the same place before. Raises ``ValueError``."""
        if fault.times is not None and fault.times < 1:
            raise ValueError(f"{fault.told}: times={fault.times} is no number of attempts; None means each")
        self._faults.append(fault)

    def befall(self, using: str, task: Task) -> None:
        """Have ``task`` meet the fault that is planned for it, if there is one."""
        for fault in self._faults:
            if fault.place.holds(task) and not fault.spent:
                fault.struck += 1
                if fault.cancels:
                    _cancel(using, task)
                task.program = cast("Program", _Rigged(task.program, using, task, fault))
                return

    def never_struck(self) -> list[str]:
        """Name the faults that befell no attempt."""
        return [fault.told for fault in self._faults if not fault.struck]


def _cancel(using: str, task: Task) -> None:
    ports.engine().cancel(task.row.saga_id, task.program, using=using, reason="cancelled by the test")


class _Rigged:
    """The program of one attempt that meets a fault; in all else, the program it stands for."""

    def __init__(self, program: Program, using: str, task: Task, fault: Fault) -> None:
        self._program = program
        self._using = using
        self._task = task
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)

    def do(self, step: str) -> StepFunction:
        return self._meeting_the_fault(self._program.do(step))

    def undo(self, step: str) -> StepFunction:
        return self._meeting_the_fault(self._program.undo(step))

    def _meeting_the_fault(self, function: StepFunction) -> StepFunction:
        def run(ctx: Context) -> Any:
            self._fail(after_effect=False)
            for _ in range(self._fault.calls - 1):
                self._run_in_vain(function)
            value = function(ctx)
            self._fail(after_effect=True)
            return value

        async def arun(ctx: Context) -> Any:
            self._fail(after_effect=False)
            for _ in range(self._fault.calls - 1):
                await function(Context(self._task))
            value = await function(ctx)
            self._fail(after_effect=True)
            return value

        return arun if self._task.is_async else run

    def _run_in_vain(self, function: StepFunction) -> None:
        """Run the function for nobody: of an atomic one, as after a deadlock, no write stays."""
        if not self._task.atomic:
            function(Context(self._task))
            return
        with transaction.atomic(using=self._using):
            function(Context(self._task))
            transaction.set_rollback(True, using=self._using)

    def _fail(self, *, after_effect: bool) -> None:
        if self._fault.failure is not None and self._fault.after_effect is after_effect:
            raise self._fault.failure()
