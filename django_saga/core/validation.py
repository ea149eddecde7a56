"""What may be wrong with a saga's definition, each with its remedy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter

from django_saga.core.definition import MAX_PRIORITY, SagaDefinition, StepDefinition
from django_saga.core.limits import Breaker, Limits, Rate
from django_saga.core.pivot import forward_problems
from django_saga.core.problem import Problem, did_you_mean
from django_saga.core.states import CompensationPolicy, FailurePolicy, LockPolicy
from django_saga.core.wait_problems import wait_problems

MAX_NAME_LENGTH = 100
MAX_QUEUE_LENGTH = 50


def problems(definition: SagaDefinition, *, max_steps: int = 200) -> list[Problem]:
    """Give everything that is wrong with ``definition``; whatever it says, none of it raises."""
    found = [*_saga(definition, max_steps), *_names(definition)]
    graph = list(_graph(definition))
    sound = not graph and not any(problem.code == "duplicate-step" for problem in found)
    past_pivot = definition.past_pivot if sound else frozenset()
    for step in definition.steps:
        found += [*_step(step), *_compensation(step, past_pivot)]
    return found + graph + (list(forward_problems(definition)) if sound else [])


def _saga(definition: SagaDefinition, max_steps: int) -> Iterator[Problem]:
    if not _matches(r"[a-z0-9_.-]+", definition.name):
        yield Problem(
            "saga-name",
            "",
            f"{definition.name!r} cannot be the name of a saga.",
            f'Set name = "..." to up to {MAX_NAME_LENGTH} lower-case letters, digits, "_", "." and "-".',
        )
    if type(definition.version) is not int or not 1 <= definition.version < 2**31:
        yield Problem(
            "version",
            "",
            f"The version {definition.version!r} is not a whole number from 1 on.",
            "Set version = 1, and one more whenever the steps change.",
        )
    if not definition.steps:
        yield Problem("no-steps", "", "It has no steps.", "Decorate a method with @step.")
    if len(definition.steps) > max_steps:
        yield Problem(
            "too-many-steps",
            "",
            f"It has {len(definition.steps):,} steps; the limit is {max_steps:,} (setting MAX_STEPS).",
            "Split it into several sagas, or raise the setting.",
        )
    yield from _limits(definition.limits, "")
    given: object = definition.priority
    if type(given) is not int or not 0 <= given <= MAX_PRIORITY:
        yield Problem(
            "priority",
            "",
            f"priority = {given!r} is not a whole number from 0 to {MAX_PRIORITY}.",
            "Give 0 to wait in line, and more to go before others.",
        )
    yield from _positive("deadline", definition.deadline, "")
    yield from _positive("grace", definition.grace, "")
    if not isinstance(definition.failure_policy, FailurePolicy):
        yield Problem(
            "failure-policy",
            "",
            f"failure_policy = {definition.failure_policy!r} is not a FailurePolicy.",
            "Use FailurePolicy.FAIL_FAST, WAIT_ALL or FAIL_FAST_WITH_GRACE(seconds).",
        )
    elif definition.failure_policy is FailurePolicy.FAIL_FAST_WITH_GRACE and definition.grace is None:
        yield Problem(
            "failure-policy",
            "",
            "failure_policy = FailurePolicy.FAIL_FAST_WITH_GRACE does not say how long.",
            "Give it seconds or a timedelta: FailurePolicy.FAIL_FAST_WITH_GRACE(30).",
        )
    if not isinstance(definition.compensation_policy, CompensationPolicy):
        yield Problem(
            "compensation-policy",
            "",
            f"compensation_policy = {definition.compensation_policy!r} is not a CompensationPolicy.",
            f"Use CompensationPolicy.{', '.join(CompensationPolicy.__members__)}.",
        )
    if not isinstance(definition.lock_policy, LockPolicy):
        yield Problem(
            "lock-policy",
            "",
            f"lock_policy = {definition.lock_policy!r} is not a LockPolicy.",
            "Use LockPolicy.REFUSE or LockPolicy.WAIT.",
        )


def _names(definition: SagaDefinition) -> Iterator[Problem]:
    for name, count in Counter(step.name for step in definition.steps).items():
        if not _matches(r"[a-z_][a-z0-9_]*", name):
            yield Problem(
                "step-name",
                name,
                f"{name!r} cannot be the name of a step.",
                f'Use up to {MAX_NAME_LENGTH} lower-case letters, digits and "_"; @step(name="...") sets it.',
            )
        if count > 1:
            yield Problem(
                "duplicate-step",
                name,
                f"{count} steps have this name.",
                'Rename the functions, or set another name with @step(name="...").',
            )


def _step(step: StepDefinition) -> Iterator[Problem]:
    yield from _positive("timeout", step.timeout, step.name)
    yield from _positive("timeout" if step.wait else "deadline", step.deadline, step.name)
    yield from _limits(step.limits, step.name)
    yield from wait_problems(step)
    yield from _async_atomic("The step", step.atomic and step.is_async, step.name)
    if step.probe and step.atomic and not (step.wait and step.wait.sends_commands):
        yield Problem(
            "atomic-probe",
            step.name,
            f"It is atomic and has the probe {step.probe.function!r}, but its outcome is always known.",
            "Remove one of the two.",
        )
    if step.probe:
        yield from _positive("timeout of the probe", step.probe.timeout, step.name)
    if not _matches(r"[^\0]+", step.queue, MAX_QUEUE_LENGTH):
        yield Problem(
            "queue",
            step.name,
            f"{step.queue!r} cannot be the name of a queue.",
            f"Give queue= a text of 1 to {MAX_QUEUE_LENGTH} characters.",
        )


def _limits(limits: Limits, step: str) -> Iterator[Problem]:
    most: object = limits.max_concurrency
    if most is not None and (type(most) is not int or most < 1):
        yield Problem(
            "max-concurrency",
            step,
            f"max_concurrency={most!r} is not a whole number from 1 on.",
            "Give how many attempts may be under way at once, or leave it out.",
        )
    if limits.rate_limit is not None and not isinstance(limits.rate_limit, Rate):
        yield Problem(
            "rate-limit",
            step,
            f"rate_limit={limits.rate_limit!r} is not a Rate.",
            "Write rate_limit=Rate(100, per=60), or leave it out.",
        )
    if limits.breaker is not None and not isinstance(limits.breaker, Breaker):
        yield Problem(
            "breaker",
            step,
            f"breaker={limits.breaker!r} is not a Breaker.",
            "Write breaker=Breaker(failures=5, within=60, open_for=30), or leave it out.",
        )


def _compensation(step: StepDefinition, past_pivot: frozenset[str]) -> Iterator[Problem]:
    undo = step.undo
    if undo is None:
        if not (step.no_compensation or step.pivot or step.name in past_pivot):
            yield Problem(
                "no-compensation",
                step.name,
                "It has no compensation.",
                'Name the command that undoes it: remote(..., compensation="..."), or say '
                "no_compensation=True if there is nothing to undo."
                if step.wait
                else f"Write one below @{_attribute(step.name)}.compensation, "
                "or say @step(no_compensation=True) if there is nothing to undo.",
            )
        return
    if step.no_compensation:
        yield Problem(
            "needless-compensation",
            step.name,
            f"It says no_compensation=True and has the compensation {undo.function!r}.",
            "Remove one of the two.",
        )
    yield from _positive("timeout of the compensation", undo.timeout, step.name)
    yield from _async_atomic(f"The compensation {undo.function!r}", undo.atomic and undo.is_async, step.name)


def _graph(definition: SagaDefinition) -> Iterator[Problem]:
    names = list(dict.fromkeys(step.name for step in definition.steps))
    edges: dict[str, list[str]] = {name: [] for name in names}
    complete = len(names) == len(definition.steps)
    for step in definition.steps:
        for before, count in Counter(step.after).items():
            if before not in edges:
                complete = False
                yield Problem(
                    "unknown-step",
                    step.name,
                    f"It comes after {before!r}, which is not a step of this saga.",
                    f"Correct after=[...].{did_you_mean(before, names)} The steps are {', '.join(names)}.",
                )
            elif before == step.name:
                yield Problem(
                    "cycle", step.name, "It comes after itself.", "Remove it from its own after=[...]."
                )
            elif before not in edges[step.name]:
                edges[step.name].append(before)
            if count > 1:
                yield Problem(
                    "repeated-step",
                    step.name,
                    f"It names {before!r} {count} times in after.",
                    "Name it once.",
                )
    yield from _cycles(edges)
    # A misspelt or doubled name tears the graph apart: its own error says enough.
    if complete:
        yield from _islands(edges)


def _cycles(edges: dict[str, list[str]]) -> Iterator[Problem]:
    edges = {name: list(before) for name, before in edges.items()}
    while cycle := _first_cycle(edges):
        chain = " → ".join([*cycle, cycle[0]])
        yield Problem(
            "cycle",
            cycle[0],
            f"Steps wait for each other: {chain}.",
            "Take one of them out of the after=[...] of the next.",
        )
        edges[cycle[0]].remove(cycle[-1])


def _first_cycle(edges: dict[str, list[str]]) -> list[str]:
    """Give the steps of a cycle: each waits for the one before it, and the one written first leads."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1][:-1]
        written = list(edges)
        first = min(range(len(cycle)), key=lambda at: written.index(cycle[at]))
        return cycle[first:] + cycle[:first]
    return []


def _islands(edges: dict[str, list[str]]) -> Iterator[Problem]:
    neighbours: dict[str, set[str]] = {name: set(before) for name, before in edges.items()}
    for name, before in edges.items():
        for other in before:
            neighbours[other].add(name)
    mainland: set[str] = set()
    for name in edges:
        if name in mainland:
            continue
        island = _reachable(name, neighbours)
        if mainland:
            yield Problem(
                "not-connected",
                name,
                f"Nothing connects {', '.join(step for step in edges if step in island)} "
                f"with {', '.join(step for step in edges if step in mainland)}.",
                "Link them by after=[...], join them in a last step, or write two sagas.",
            )
        mainland |= island


def _reachable(start: str, neighbours: dict[str, set[str]]) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        new = neighbours[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached


def _positive(what: str, value: timedelta | None, step: str) -> Iterator[Problem]:
    if value is not None and value <= timedelta(0):
        yield Problem(
            "not-positive",
            step,
            f"The {what} of {value.total_seconds():g} s is not longer than nothing.",
            "Give seconds or a timedelta greater than zero, or leave it out.",
        )


def _async_atomic(what: str, wrong: bool, step: str) -> Iterator[Problem]:
    if wrong:
        yield Problem(
            "async-atomic",
            step,
            f"{what} is atomic and async def; Django's transactions do not work in async code.",
            "Write def instead of async def, or remove atomic=True.",
        )


def _matches(pattern: str, name: object, limit: int = MAX_NAME_LENGTH) -> bool:
    return isinstance(name, str) and len(name) <= limit and re.fullmatch(pattern, name) is not None


def _attribute(name: object) -> str:
    return name if isinstance(name, str) and name.isidentifier() else "..."
