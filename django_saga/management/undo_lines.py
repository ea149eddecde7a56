"""What would be undone, in lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django_saga.core.definition import SagaDefinition
from django_saga.core.plain import plain
from django_saga.core.simulation import UndoPlan


def plan_lines(definition: SagaDefinition, plan: UndoPlan) -> Iterator[str]:
    """Give the lines of a plan, without how it ends."""
    if plan.in_flight:
        yield f"    in flight  {names(plan.in_flight)}"
    yield f"    undone     {waves(definition, plan)}"
    if plan.kept:
        yield f"    stays      {names(plan.kept)}: no compensation"


def waves(definition: SagaDefinition, plan: UndoPlan) -> str:
    """Give the steps in the order in which they are undone, each with its compensation."""
    found = [
        ", ".join(f"{plain(step)} ({plain(_compensation(definition, step))})" for step in wave)
        for wave in plan.waves
    ]
    return "; then ".join(found) or "nothing"


def names(steps: Sequence[str]) -> str:
    """Name steps."""
    return ", ".join(map(plain, steps))


def _compensation(definition: SagaDefinition, step: str) -> str:
    undo = definition[step].undo
    return undo.function if undo else ""
