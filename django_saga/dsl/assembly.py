"""How the body of a saga's class becomes a definition, and what is wrong with the body."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeAlias

from django_saga.core.definition import ProbeDefinition, SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.limits import Limits
from django_saga.core.problem import Problem
from django_saga.core.retry import DEFAULT_RETRY, DEFAULT_UNDO_RETRY, Retry
from django_saga.core.states import Alternate, FailurePolicy, ForwardRecovery, Grace
from django_saga.core.waits import WaitDefinition, WaitKind
from django_saga.dsl import condition
from django_saga.dsl.condition import Condition
from django_saga.dsl.hooks import Hook, Hooks, written_in
from django_saga.dsl.locks import misfit
from django_saga.dsl.mapping import InputMapper
from django_saga.dsl.signature import takes
from django_saga.dsl.step import Attempted, Compensation, Probing, Step, StepFunction

BODY = "_saga_body"  # the attribute of a class that keeps what its body wrote
Written: TypeAlias = Attempted | Hook


class Body(dict[str, Any]):
    """The namespace of a class: a dict that also remembers what of a saga had its name given away again."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, Written]] = []

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(value, Written) and all(value is not item for _, item in self.written):
            self.written.append((name, value))
        super().__setitem__(name, value)


@dataclass(frozen=True, slots=True)
class Functions:
    """What a step does and what undoes it."""

    do: StepFunction
    undo: StepFunction | None
    input: InputMapper | None = None
    probe: StepFunction | None = None
    when: Condition | None = None


@dataclass
class Assembly:
    """The steps of a class and of the classes it builds on, in the order they run by default.

    ``free``: their functions stand in no class, and take the context alone.
    """

    steps: list[tuple[str, Step]] = field(default_factory=list)
    compensations: dict[int, Compensation] = field(default_factory=dict)  # by the identity of the step
    probes: dict[int, Probing] = field(default_factory=dict)  # likewise
    mappers: dict[int, InputMapper] = field(default_factory=dict)  # likewise
    hooks: Hooks = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    free: bool = False

    def compensation_of(self, step: Step) -> Compensation | None:
        """Give the compensation of ``step``."""
        return self.compensations.get(id(step))

    def functions(self) -> dict[str, Functions]:
        """Give the functions of every step, by its name."""
        found = {}
        for _, step in self.steps:
            undo, probe = self.compensation_of(step), self.probes.get(id(step))
            found[step.name] = Functions(
                staticmethod(step.function) if step.free else self._method(step.function),
                self._method(undo.function) if undo else None,
                self.mappers.get(id(step)),
                self._method(probe.function) if probe else None,
                None if step.when is None else condition.as_method(step.when, free=self.free),
            )
        return found

    def _method(self, function: StepFunction) -> StepFunction:
        return staticmethod(function) if self.free else function

    def define(self, saga: Any, name: str) -> SagaDefinition:
        """Give the definition; what cannot be part of one is noted in ``problems`` and left out."""
        steps, before = [], ""
        stand_ins = {_alternate(step) for _, step in self.steps}
        for _, step in self.steps:
            made = self._step(step, before if before != step.name else "", saga.queue)
            if made.wait is not None and made.wait.kind is WaitKind.EACH and not made.wait.name:
                of_items = replace(made.wait, name=f"{name}.{made.name}", version=saga.version)
                made = replace(made, wait=of_items)
            steps.append(made)
            if step.name not in stand_ins:
                before = step.name
        steps = self._placed(steps)
        grace = saga.failure_policy if isinstance(saga.failure_policy, Grace) else None
        return SagaDefinition(
            name=name,
            version=saga.version,
            steps=tuple(steps),
            deadline=self._duration("deadline", saga.deadline, ""),
            failure_policy=FailurePolicy.FAIL_FAST_WITH_GRACE if grace else saga.failure_policy,
            grace=grace.period if grace else None,
            compensation_policy=saga.compensation_policy,
            locks=self._takes_locks(saga.locks),
            lock_policy=saga.lock_policy,
            limits=Limits(saga.max_concurrency, saga.rate_limit),
            priority=saga.priority,
            description=inspect.cleandoc(saga.__dict__.get("__doc__") or ""),
        )

    def _takes_locks(self, locks: Any) -> bool:
        if locks is not None and (problem := misfit(locks)):
            self.report(
                "locks",
                "",
                f"{problem[0].upper()}{problem[1:]}.",
                'Write locks = lambda input: ["..."], or a @staticmethod that takes the input.',
            )
        return locks is not None

    def _step(self, step: Step, before: str, queue: str) -> StepDefinition:
        undo = self.compensation_of(step)
        after = ((before,) if before else ()) if step.after is None else tuple(self._names(step))
        self._check_function(step)
        if mapper := self.mappers.get(id(step)):
            self._check_arranging("input=", mapper.function, mapper.step)
        if undo and (command := step.wait and step.wait.compensation):
            self.report(
                "second-compensation",
                step.name,
                f"It has two compensations, the command {command!r} and {undo.function_name!r}.",
                "Keep one of them.",
            )
        if step.when is not None and (wrong := condition.misfit(step.when, free=self.free or step.free)):
            self.report("condition", step.name, f"when= {wrong[0]}.", wrong[1])
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
            undo=self._undo(undo) if undo else _taken_back(step.wait),
            probe=self._probe(step),
            no_compensation=bool(step.no_compensation)
            or (step.wait is not None and not step.wait.has_effect and undo is None),
            pivot=bool(step.pivot),
            forward_recovery=_recovery(step),
            alternate=_alternate(step),
            wait=step.wait,
            when="" if step.when is None else condition.name_of(step.when),
        )

    def _placed(self, steps: list[StepDefinition]) -> list[StepDefinition]:
        """Put each step that stands in for another where that one stands."""
        known = {step.name: step for step in steps}
        given = {step.name: step.after for _, step in self.steps}
        stand_ins = {step.alternate for step in steps}
        for main in steps:
            line = [main.name] if main.name not in stand_ins else []
            while line and (other := known[line[-1]].alternate) in known and other not in line:
                if given[other] is not None:
                    self.report(
                        "alternate",
                        other,
                        f"It stands in for {line[-1]!r} and has an after=[...] of its own.",
                        "Remove after=[...]: it runs where that step would have.",
                    )
                known[other] = replace(known[other], after=main.after)
                line.append(other)
        return list(known.values()) if len(known) == len(steps) else steps

    def _undo(self, undo: Compensation) -> UndoDefinition:
        step = undo.step.name
        self._check_signature(undo.function, step, f"The compensation {undo.function_name}()")
        return UndoDefinition(
            function=undo.function_name,
            retry=self._retry(undo.retry, DEFAULT_UNDO_RETRY, step),
            timeout=self._duration("timeout of the compensation", undo.timeout, step),
            atomic=bool(undo.atomic),
            is_async=inspect.iscoroutinefunction(undo.function),
        )

    def _probe(self, step: Step) -> ProbeDefinition | None:
        probe = self.probes.get(id(step))
        if probe is None:
            return None
        self._check_signature(probe.function, step.name, f"The probe {probe.function_name}()")
        return ProbeDefinition(
            function=probe.function_name,
            retry=self._retry(probe.retry, DEFAULT_UNDO_RETRY, step.name),
            timeout=self._duration("timeout of the probe", probe.timeout, step.name),
            is_async=inspect.iscoroutinefunction(probe.function),
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

    def _check_signature(self, function: StepFunction, step: str, what: str) -> None:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            problem, hint = "is a generator", "Return the result instead of yielding it."
        elif not takes(function, 1 if self.free else 2):
            problem = f"cannot be called with {'(ctx)' if self.free else '(self, ctx)'}"
            hint = f"Give it exactly {'this parameter' if self.free else 'these two parameters'}."
        else:
            return
        self.report("signature", step, f"{what} {problem}.", hint)

    def _check_function(self, step: Step) -> None:
        if step.wait is None:
            self._check_signature(step.function, step.name, f"{step.function_name}()")
        else:
            self._check_arranging(f"The function of {step.wait.kind}", step.function, step.name)

    def _check_arranging(self, what: str, function: Any, step: str) -> None:
        """Check a function of the context that has no effect."""
        if not callable(function):
            problem, hint = f"is {function!r}", "Give it a function: lambda ctx: ..."
        elif inspect.iscoroutinefunction(function):
            problem, hint = "is async def", "Write def: it only arranges what is in the context."
        elif not takes(function, 1):
            problem, hint = "cannot be called with (ctx)", "Give it exactly this parameter."
        else:
            return
        self.report("signature", step, f"{what} {problem}.", hint)

    def report(self, code: str, step: str, message: str, hint: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(code, step, message, hint))


def assemble(cls: type, reserved: frozenset[str]) -> Assembly:
    """Gather the steps that ``cls`` and its bases write; ``reserved`` are names that steps may not take."""
    found = Assembly()
    told: dict[str, Hook] = {}
    for base in reversed(cls.__mro__):
        _add(found, base, reserved)
        told.update((attribute, item) for attribute, item in _written(base) if isinstance(item, Hook))
    found.hooks, wrong = written_in(cls, told, [step.name for _, step in found.steps])
    found.problems += wrong
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
        if attribute in reserved and not isinstance(item, (Compensation, Probing)):
            keeps = f'; @step(name="{attribute}") keeps the name of the step'
            found.report(
                "reserved-name",
                item.step_name,
                f"The function {attribute}() hides Saga.{attribute}.",
                f"Rename the function{keeps if isinstance(item, Step) else ''}.",
            )
        if isinstance(item, Step):
            _add_step(found, attribute, item, inherited.pop(attribute, None))
        elif isinstance(item, (Compensation, Probing)):
            _add_counterpart(found, item, base)
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


def _add_counterpart(found: Assembly, item: Compensation | Probing, base: type) -> None:
    """Add what compensates or probes a step."""
    kind, does = ("probe", "probes") if isinstance(item, Probing) else ("compensation", "compensates")
    if not any(step is item.step for _, step in found.steps):
        found.report(
            "orphan-compensation",
            item.step.name,
            f"{base.__name__}.{item.function_name} {does} a step that is not one of this saga.",
            f"Write it below a step of the same class: @<step>.{kind}.",
        )
        return
    known: Any = found.probes if isinstance(item, Probing) else found.compensations
    other = known.get(id(item.step))
    if other is not None and any(other is written for _, written in _written(base)):
        found.report(
            "second-compensation",
            item.step.name,
            f"It has two {kind}s, {other.function_name!r} and {item.function_name!r}.",
            "Keep one, and call the other from it.",
        )
    known[id(item.step)] = item


def _written(base: type) -> list[tuple[str, Written]]:
    written = vars(base).get(BODY)
    if written is not None:
        return list(written)
    return [(name, item) for name, item in vars(base).items() if isinstance(item, Written)]


def _taken_back(wait: WaitDefinition | None) -> UndoDefinition | None:
    """Give what undoes a step without a function of the saga."""
    if wait is None or not wait.takes_back:
        return None
    return UndoDefinition(function=wait.compensation or "takes its sagas back", atomic=True)


def _recovery(step: Step) -> ForwardRecovery | None:
    given = step.forward_recovery
    return ForwardRecovery.ALTERNATE if isinstance(given, Alternate) else given


def _alternate(step: Step) -> str:
    """Name the step that stands in for ``step``."""
    if not isinstance(step.forward_recovery, Alternate):
        return ""
    other = step.forward_recovery.step
    return other if isinstance(other, str) else str(getattr(other, "name", other))


def _is_twin(left: object, right: object) -> bool:
    """True for two steps of one name: validation reports them."""
    return isinstance(left, Step) and isinstance(right, Step) and left.name == right.name
