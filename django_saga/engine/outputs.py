"""What sagas gave that a step started, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django_saga.core import encoding
from django_saga.core.waits import WaitDefinition
from django_saga.dsl.registry import registry
from django_saga.engine import versions
from django_saga.engine.tasks import Task, result_of
from django_saga.store import children, sagas

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

_AT_ONCE = 500


def of_sagas(using: str, known: Program, ended: Sequence[children.Child]) -> list[Any]:
    """Give what completed sagas gave: the last step's result, or ``{step: result}`` if there are several."""
    stored = sagas.payloads(using, [one.id for one in ended])
    found = []
    for one in ended:
        definition = versions.current_program(using, one.id, one.definition_id, known).definition
        results = {}
        for name in definition.sinks:
            _, text = result_of(definition, name, stored.get(one.id, {}))
            results[name] = None if text is None else encoding.decode(text)
        found.append(next(iter(results.values())) if len(results) == 1 else results)
    return found


def of_items(task: Task, name: str, wait: WaitDefinition) -> Iterator[Any]:
    """Go through what the items of the step ``name`` gave, in their order."""
    step_id = children.step_of(task.using, task.row.saga_id, name)
    program, last = registry.get(wait.name, wait.version), None
    while step_id is not None and (some := children.completed(task.using, step_id, _AT_ONCE, last)):
        yield from of_sagas(task.using, program, some)
        last = some[-1].id
