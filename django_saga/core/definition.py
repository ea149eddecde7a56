"""A saga's definition: its graph and policies, immutable, the one form all ways of writing sagas end in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from graphlib import TopologicalSorter

from django_saga.core import lanes
from django_saga.core.limits import NO_LIMITS, Limits
from django_saga.core.retry import DEFAULT_RETRY, DEFAULT_UNDO_RETRY, Retry
from django_saga.core.states import CompensationPolicy, FailurePolicy, ForwardRecovery, LockPolicy
from django_saga.core.waits import WaitDefinition

# What a level of priority is worth: a saga takes its place as though it had waited so long already.
HEAD_START = timedelta(minutes=1)
MAX_PRIORITY = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoDefinition:
    """A step's compensation."""

    function: str  # the name of the function, for people
    retry: Retry = DEFAULT_UNDO_RETRY
    timeout: timedelta | None = None
    atomic: bool = False
    is_async: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeDefinition:
    """What finds out whether a step in doubt had its effect."""

    function: str  # the name of the function, for people
    retry: Retry = DEFAULT_UNDO_RETRY
    timeout: timedelta | None = None
    is_async: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDefinition:
    """One step: where it stands in the graph, and how it is tried.

    ``timeout`` bounds one attempt (None: the setting ``STEP_TIMEOUT``), ``deadline`` the step with all its
    attempts. ``pivot``: once it succeeded there is no way back; ``forward_recovery`` is what becomes of a
    step past it that failed for good, ``alternate`` the step that then stands in. ``wait``: what it waits
    for, if it does nothing itself. ``when`` names the function that says whether the step is to run; without
    one it always is.
    """

    name: str
    after: tuple[str, ...] = ()
    retry: Retry = DEFAULT_RETRY
    timeout: timedelta | None = None
    deadline: timedelta | None = None
    atomic: bool = False
    is_async: bool = False
    queue: str = "default"
    limits: Limits = NO_LIMITS
    undo: UndoDefinition | None = None
    probe: ProbeDefinition | None = None
    no_compensation: bool = (
        False  # declared needless; without it and without ``undo`` the definition is wrong
    )
    pivot: bool = False
    forward_recovery: ForwardRecovery | None = None  # None past the pivot: MANUAL
    alternate: str = ""
    wait: WaitDefinition | None = None
    when: str = ""

    @property
    def leaves_no_doubt(self) -> bool:
        """True when an attempt that was not recorded has had no effect."""
        return self.atomic or self.wait is not None


@dataclass(frozen=True, kw_only=True)
class SagaDefinition:
    """A version of a saga. May be built wrong: ``core.validation.problems`` says what is wrong with it."""

    name: str
    version: int = 1
    steps: tuple[StepDefinition, ...] = ()
    deadline: timedelta | None = None
    failure_policy: FailurePolicy = FailurePolicy.FAIL_FAST
    grace: timedelta | None = None  # with FAIL_FAST_WITH_GRACE
    compensation_policy: CompensationPolicy = CompensationPolicy.CONTINUE
    locks: bool = False  # whether its sagas may take locks
    lock_policy: LockPolicy = LockPolicy.REFUSE
    limits: Limits = NO_LIMITS  # of all steps together
    priority: int = 0
    description: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def __getitem__(self, step: str) -> StepDefinition:
        return self.by_name[step]

    @cached_property
    def by_name(self) -> Mapping[str, StepDefinition]:
        """Steps by name, in the order written."""
        return {step.name: step for step in self.steps}

    @cached_property
    def stand_ins(self) -> Mapping[str, tuple[str, ...]]:
        """For each step, the one that may stand in for it, the one that may stand in for that, and so on."""
        found = {}
        for step in self.steps:
            line: list[str] = []
            following = step.alternate
            while following in self.by_name and following not in (step.name, *line):
                line.append(following)
                following = self.by_name[following].alternate
            found[step.name] = tuple(line)
        return found

    @cached_property
    def _lines(self) -> tuple[tuple[str, ...], ...]:
        """Each step with its stand-ins, beginning at the first."""
        named = {step.alternate for step in self.steps}
        return tuple((name, *line) for name, line in self.stand_ins.items() if name not in named)

    @cached_property
    def mains(self) -> Mapping[str, str]:
        """For each step that may stand in for another, that other one."""
        return {line[at + 1]: line[at] for line in self._lines for at in range(len(line) - 1)}

    @cached_property
    def opens(self) -> Mapping[str, tuple[str, ...]]:
        """For each step, the steps that wait for it directly, or for the one it stands in for."""
        found: dict[str, list[str]] = {step.name: [] for step in self.steps}
        for step in self.steps:
            for before in step.after if step.name not in self.mains else ():
                for name in (before, *self.stand_ins[before]):
                    found[name].append(step.name)
        return {name: tuple(names) for name, names in found.items()}

    @cached_property
    def edges(self) -> Mapping[str, tuple[str, ...]]:
        """For each step, those that come before it in any case: what it waits for, what may stand in for
        that, and what it stands in for itself.
        """
        found = {step.name: list(step.after) for step in self.steps}
        for name, following in self.opens.items():
            for other in following:
                if name not in found[other]:
                    found[other].append(name)
        for alternate, main in self.mains.items():
            found[alternate].append(main)
        return {name: tuple(before) for name, before in found.items()}

    @cached_property
    def dependents(self) -> Mapping[str, tuple[str, ...]]:
        """For each step, the steps that come after it directly: its compensation waits for theirs."""
        found: dict[str, list[str]] = {step.name: [] for step in self.steps}
        for name, before in self.edges.items():
            for other in before:
                found[other].append(name)
        return {name: tuple(names) for name, names in found.items()}

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """Steps that start at once."""
        return tuple(step.name for step in self.steps if not step.after and step.name not in self.mains)

    @cached_property
    def sinks(self) -> tuple[str, ...]:
        """Steps nothing waits for: when all of them have passed, the saga is complete."""
        return tuple(name for name, waiting in self.opens.items() if not waiting and name not in self.mains)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All steps, each behind those that come before it."""
        return tuple(TopologicalSorter(self.edges).static_order())

    @cached_property
    def ancestors(self) -> Mapping[str, frozenset[str]]:
        """For each step, every step that must have ended before it may start."""
        found: dict[str, frozenset[str]] = {}
        for name in self.order:
            before = self.edges[name]
            found[name] = frozenset(before).union(*(found[other] for other in before))
        return found

    @cached_property
    def pivot(self) -> str:
        """The step from which there is no way back; empty: there is none."""
        return next((step.name for step in self.steps if step.pivot), "")

    @cached_property
    def past_pivot(self) -> frozenset[str]:
        """Steps that come after the pivot: they can only go forward."""
        return frozenset(name for name, before in self.ancestors.items() if self.pivot in before)

    @cached_property
    def gate_keys(self) -> Mapping[str, str]:
        """For each step, the key of the gate it is claimed through; empty for those without limits."""
        if self.limits != NO_LIMITS:
            return dict.fromkeys(self.by_name, lanes.gate_key(self.name, ""))
        return {
            step.name: lanes.gate_key(self.name, step.name) if step.limits != NO_LIMITS else ""
            for step in self.steps
        }

    @cached_property
    def lanes(self) -> Mapping[str, str]:
        """For each step, the lane in which it is claimed first."""
        return {
            step.name: ("async" if step.is_async else "thread") + self.gate_keys[step.name]
            for step in self.steps
        }

    @cached_property
    def is_chain(self) -> bool:
        """True when each step waits for the one before it only: no two steps are ever open at once."""
        return len(self.roots) == 1 and all(
            len(step.after) <= 1 and len(self.opens[step.name]) <= 1 for step in self.steps
        )

    @cached_property
    def consulted(self) -> Mapping[str, frozenset[str]]:
        """For each step, the other steps whose state decides what its success opens or completes.

        In a chain this is empty, so recording a success reads one row however long the saga is.
        """
        needed: dict[str, frozenset[str]] = {}
        for name, waiting in self.opens.items():
            others = {before for dependent in waiting for before in self.by_name[dependent].after}
            if not waiting:
                others |= set(self.sinks)
            # One of a step and its stand-ins is enough: where it is this one, the others say nothing new.
            same = next((line for line in self._lines if name in line), ())
            others = {each for other in others - set(same) for each in (other, *self.stand_ins[other])}
            needed[name] = frozenset(others)
        return needed

    @cached_property
    def fingerprint(self) -> str:
        """Digest of what sagas in flight depend on: steps, order, kinds, what is undone when. Retry, time
        and other limits may be tuned freely.
        """
        graph = [
            [
                step.name,
                sorted(step.after),
                step.atomic,
                step.undo is not None,
                bool(step.undo and step.undo.atomic),
                *(["probe"] if step.probe else []),
                *([["wait", step.wait.kind]] if step.wait else []),
                *(["when"] if step.when else []),
            ]
            for step in self.steps
        ]
        parts: list[object] = [self.name, self.version, graph]
        if self.failure_policy is not FailurePolicy.FAIL_FAST:
            parts.append(self.failure_policy)
        if self.compensation_policy is not CompensationPolicy.CONTINUE:
            parts.append(self.compensation_policy)
        forward = [
            [step.name, step.pivot, step.forward_recovery, step.alternate]
            for step in self.steps
            if step.pivot or step.forward_recovery
        ]
        if forward:
            parts.append(forward)
        if self.locks:  # a saga that holds any has to end by code that lets go of them
            parts.append("locks")
        text = json.dumps(parts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
