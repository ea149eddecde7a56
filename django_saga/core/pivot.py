"""What may be wrong with a saga's pivot and with what is to happen past it."""

from __future__ import annotations

from collections.abc import Iterator

from django_saga.core.definition import SagaDefinition, StepDefinition
from django_saga.core.problem import Problem, did_you_mean
from django_saga.core.states import ForwardRecovery


def forward_problems(definition: SagaDefinition) -> Iterator[Problem]:
    """Give what is wrong with the pivot and the forward recoveries; the graph itself is sound."""
    yield from _pivots(definition)
    for step in definition.steps:
        yield from _recovery(definition, step)
    yield from _alternates(definition)


def _pivots(definition: SagaDefinition) -> Iterator[Problem]:
    pivots = [step.name for step in definition.steps if step.pivot]
    for name in pivots[1:]:
        yield Problem(
            "second-pivot",
            name,
            f"It is a pivot, and so is {pivots[0]!r}.",
            "A saga has one point of no return: leave pivot=True at the first step that cannot be undone.",
        )
    for name in pivots:
        if when := definition[name].when:
            yield Problem(
                "condition-place",
                name,
                f"It is the pivot and has the condition {when!r}: passed over, nobody could say from where "
                "there is no way back.",
                "Remove when=, and put it on steps before the pivot or past it.",
            )
    if len(pivots) != 1:
        return
    before, after = definition.ancestors[pivots[0]], definition.past_pivot
    for step in definition.steps:
        if step.name not in before and step.name not in after and not step.pivot:
            yield Problem(
                "beside-pivot",
                step.name,
                f"It may run beside the pivot {pivots[0]!r}: nobody can say whether it can still be undone.",
                "Put it before the pivot or past it with after=[...].",
            )
        if step.name in after and step.undo is not None:
            yield Problem(
                "compensated-past-pivot",
                step.name,
                f"It has the compensation {step.undo.function!r}, but past the pivot {pivots[0]!r} "
                "there is no way back.",
                "Remove the compensation, or set pivot=True on a later step.",
            )


def _recovery(definition: SagaDefinition, step: StepDefinition) -> Iterator[Problem]:
    recovery = step.forward_recovery
    if recovery is None:
        return
    if not isinstance(recovery, ForwardRecovery):
        yield Problem(
            "forward-recovery",
            step.name,
            f"forward_recovery={recovery!r} is not a ForwardRecovery.",
            f"Use ForwardRecovery.{', '.join(ForwardRecovery.__members__)}; ALTERNATE takes the step.",
        )
    elif step.name not in definition.past_pivot:
        yield Problem(
            "forward-recovery",
            step.name,
            "It has a forward_recovery, but does not come after a pivot: if it fails, the saga turns back.",
            "Set pivot=True on the step from which there is no way back, or remove forward_recovery.",
        )
    elif recovery is ForwardRecovery.ALTERNATE and not step.alternate:
        yield Problem(
            "alternate",
            step.name,
            "ForwardRecovery.ALTERNATE does not say which step stands in for it.",
            "Name it: ForwardRecovery.ALTERNATE(ship_by_post).",
        )
    elif step.alternate and step.alternate not in definition.by_name:
        yield Problem(
            "alternate",
            step.name,
            f"Its alternate {step.alternate!r} is not a step of this saga.",
            f"Correct ALTERNATE(...).{did_you_mean(step.alternate, definition.by_name)}",
        )


def _alternates(definition: SagaDefinition) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for step in definition.steps:
        name = step.alternate
        if not name or name not in definition.by_name:
            continue
        if name == step.name or step.name in definition.stand_ins[name]:
            yield Problem(
                "alternate", step.name, "It stands in for itself.", "Name another step in ALTERNATE(...)."
            )
        if name in taken:
            yield Problem(
                "alternate",
                name,
                f"It stands in for both {taken[name]!r} and {step.name!r}.",
                "Write a step of its own for each.",
            )
        taken[name] = step.name
        if when := definition[name].when:
            yield Problem(
                "condition-place",
                name,
                f"It stands in for {step.name!r}, which failed, and has the condition {when!r}: passed over, "
                "nothing would be done in place of that step.",
                f"Remove when=; what belongs to the whole line stands at {step.name!r}.",
            )
        if definition[name].pivot:
            yield Problem(
                "alternate", name, "It stands in for another step and is a pivot.", "Remove pivot=True."
            )
        for other in definition.steps:
            if name in other.after:
                yield Problem(
                    "alternate",
                    other.name,
                    f"It comes after {name!r}, which only runs if {step.name!r} failed.",
                    f"Name {step.name!r} in after=[...]: the one that stands in counts for it.",
                )
