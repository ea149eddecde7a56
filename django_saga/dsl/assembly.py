"""How the body of a saga's class becomes a definition, and what is wrong with the body."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.limits import Limits
from django_saga.core.retry import DEFAULT_RETRY, DEFAULT_UNDO_RETRY, Retry
from django_saga.core.states import FailurePolicy, Grace
from django_saga.core.validation import Problem
from django_saga.dsl.step import Attempted, Compensation, Step, StepFunction

BODY = "_saga_body"  # the attribute of a class that keeps what its body wrote


class Body(dict[str, Any]):
    """The namespace of a class: a dict that also remembers steps whose name was given away again."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, Attempted]] = []

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(value, Attempted) and all(value is not item for _, item in self.written):
            self.written.append((name, value))
        super().__setitem__(name, value)


@dataclass(frozen=True, slots=True)
class Functions:
    """What a step does and what undoes it."""

    do: StepFunction
    undo: StepFunction | None


@dataclass
class Assembly:
    """The steps of a class and of the classes it builds on, in the order they run by default."""

    steps: list[tuple[str, Step]] = field(default_factory=list)
    compensations: dict[int, Compensation] = field(default_factory=dict)  # by the identity of the step
    problems: list[Problem] = field(default_factory=list)

    def compensation_of(self, step: Step) -> Compensation | None:
        """Give the compensation of ``step``."""
        return self.compensations.get(id(step))

    def functions(self) -> dict[str, Functions]:
        """Give the functions of every step, by its name."""
        found = {}
        for _, step in self.steps:
            undo = self.compensation_of(step)
            found[step.name] = Functions(step.function, undo.function if undo else None)
        return found

    def define(self, saga: Any, name: str) -> SagaDefinition:
        """Give the definition; what cannot be part of one is noted in ``problems`` and left out."""
        steps, before = [], ""
        for _, step in self.steps:
            steps.append(self._step(step, before if before != step.name else "", saga.queue))
            before = step.name
        grace = saga.failure_policy if isinstance(saga.failure_policy, Grace) else None
        return SagaDefinition(
            name=name,
            version=saga.version,
            steps=tuple(steps),
            deadline=self._duration("deadline", saga.deadline, ""),
            failure_policy=FailurePolicy.FAIL_FAST_WITH_GRACE if grace else saga.failure_policy,
            grace=grace.period if grace else None,
            compensation_policy=saga.compensation_policy,
            limits=Limits(saga.max_concurrency, saga.rate_limit),
            priority=saga.priority,
            description=inspect.cleandoc(saga.__dict__.get("__doc__") or ""),
        )

    def _step(self, step: Step, before: str, queue: str) -> StepDefinition:
        undo = self.compensation_of(step)
        after = ((before,) if before else ()) if step.after is None else tuple(self._names(step))
        self._check_signature(step, step.name, f"{step.function_name}()")
        return StepDefinition(
            name=step.name,
            after=after,
            retry=self._retry(step.retry, DEFAULT_RETRY, step.name),
            timeout=self._duration("timeout", step.timeout, step.name),
            deadline=self._duration("deadline", step.deadline, step.name),
            atomic=bool(step.atomic),
            is_async=inspect.iscoroutinefunction(step.function),
            queue=queue if step.queue is None else step.queue,
            limits=step.limits,
            undo=None if undo is None else self._undo(undo),
            no_compensation=bool(step.no_compensation),
        )

    def _undo(self, undo: Compensation) -> UndoDefinition:
        step = undo.step.name
        self._check_signature(undo, step, f"The compensation {undo.function_name}()")
        return UndoDefinition(
            function=undo.function_name,
            retry=self._retry(undo.retry, DEFAULT_UNDO_RETRY, step),
            timeout=self._duration("timeout of the compensation", undo.timeout, step),
            atomic=bool(undo.atomic),
            is_async=inspect.iscoroutinefunction(undo.function),
        )

    def _names(self, step: Step) -> Iterator[str]:
        for before in step.after or ():
            if isinstance(before, (Step, str)):
                yield before if isinstance(before, str) else before.name
            else:
                self.report(
                    "after-type",
                    step.name,
                    f"after=[...] holds {before!r}, which is neither a step nor a name.",
                    "Name the functions decorated with @step, or their names as text.",
                )

    def _retry(self, given: Any, default: Retry, step: str) -> Retry:
        if given is None or isinstance(given, Retry):
            return given or default
        self.report(
            "retry-type",
            step,
            f"retry={given!r} is not a Retry.",
            "Write retry=Retry(attempts=...), or leave it out.",
        )
        return default

    def _duration(self, what: str, given: Any, step: str) -> timedelta | None:
        if given is None or isinstance(given, timedelta):
            return given
        if isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given):
            try:
                return timedelta(seconds=given)
            except OverflowError:
                pass
        self.report(
            "duration-type",
            step,
            f"The {what} {given!r} is neither a number of seconds nor a timedelta.",
            "Write 30 or timedelta(minutes=5), or leave it out.",
        )
        return None

    def _check_signature(self, attempted: Attempted, step: str, what: str) -> None:
        function = attempted.function
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            problem, hint = "is a generator", "Return the result instead of yielding it."
        elif not _takes_context(function):
            problem, hint = "cannot be called with (self, ctx)", "Give it exactly these two parameters."
        else:
            return
        self.report("signature", step, f"{what} {problem}.", hint)

    def report(self, code: str, step: str, message: str, hint: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(code, step, message, hint))


def assemble(cls: type, reserved: frozenset[str]) -> Assembly:
    """Gather the steps that ``cls`` and its bases write; ``reserved`` are names that steps may not take."""
    found = Assembly()
    for base in reversed(cls.__mro__):
        _add(found, base, reserved)
    return found


def _add(found: Assembly, base: type, reserved: frozenset[str]) -> None:
    own = vars(base)
    inherited = dict(found.steps)
    for attribute, item in _written(base):
        if own.get(attribute) is not item and not _is_twin(own.get(attribute), item):
            found.report(
                "overwritten",
                item.step_name,
                f"{base.__name__}.{attribute} is written twice: the first, {item!r}, is lost.",
                "Give each function a name of its own.",
            )
        if isinstance(item, Step):
            _add_step(found, attribute, item, inherited.pop(attribute, None))
            if attribute in reserved:
                found.report(
                    "reserved-name",
                    item.name,
                    f"The function {attribute}() hides Saga.{attribute}.",
                    f'Rename the function; @step(name="{attribute}") keeps the name of the step.',
                )
        elif isinstance(item, Compensation):
            _add_compensation(found, item, base)
    for attribute, step in inherited.items():
        if attribute in own:
            found.report(
                "hidden-step",
                step.name,
                f"{base.__name__}.{attribute} hides the step of a base class.",
                "Decorate it with @step to replace the step, or rename it.",
            )


def _add_step(found: Assembly, attribute: str, step: Step, replaced: Step | None) -> None:
    if replaced is None:
        found.steps.append((attribute, step))
        return
    place = next(at for at, (_, old) in enumerate(found.steps) if old is replaced)
    found.steps[place] = (attribute, step)


def _add_compensation(found: Assembly, item: Compensation, base: type) -> None:
    if not any(step is item.step for _, step in found.steps):
        found.report(
            "orphan-compensation",
            item.step.name,
            f"{base.__name__}.{item.function_name} compensates a step that is not one of this saga.",
            "Write it below a step of the same class: @<step>.compensation.",
        )
        return
    other = found.compensation_of(item.step)
    if other is not None and any(other is written for _, written in _written(base)):
        found.report(
            "second-compensation",
            item.step.name,
            f"It has two compensations, {other.function_name!r} and {item.function_name!r}.",
            "Keep one, and call the other from it.",
        )
    found.compensations[id(item.step)] = item


def _written(base: type) -> list[tuple[str, Attempted]]:
    written = vars(base).get(BODY)
    if written is not None:
        return list(written)
    return [(name, item) for name, item in vars(base).items() if isinstance(item, Attempted)]


def _is_twin(left: object, right: object) -> bool:
    """True for two steps of one name: validation reports them."""
    return isinstance(left, Step) and isinstance(right, Step) and left.name == right.name


def _takes_context(function: StepFunction) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not say
        return True
    return True
