"""What steps do that have other sagas do their work: `child()` starts one, `for_each()` one for each item.

Children are started in the step's own transaction, by ids that follow from the step and the item, so none
is ever started twice. All items are stored at once: what the list is does not depend on when anybody looks.
Those that there is no room for yet are held: their alarm is set as others end.

A step that has children waits for them by ``store.children``'s keys; whoever records the end of a child rings
for it after that commit. Lock order: the step's own row, then sagas by id, the parent among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django_saga.core import machine
from django_saga.core.events import SagaStarted, TakenBack
from django_saga.dsl.registry import registry
from django_saga.engine import announcing, journal, locking, outputs, starter
from django_saga.engine.context import Context
from django_saga.engine.opening import new_row
from django_saga.engine.tasks import Task
from django_saga.engine.waiting import NotYet
from django_saga.exceptions import InvalidInput, PermanentFailure
from django_saga.models import child_id
from django_saga.store import children, clock, definitions, sagas, starts
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

# Children of one statement, and those that are asked to turn back in one transaction.
_BULK = 500


def child(task: Task, context: Context) -> Any:
    """Start the child, or look how it ended; what it gave is the step's result."""
    step_id = task.row.id
    if not children.are_there(task.using, step_id):
        [text] = _encoded(task, [task.program.do(task.row.name)(context)], "input")
        start(task, [text], of_many=False)
        return NotYet(waits_for=children.key(step_id, children.ALL), partial=True)
    if done := children.completed(task.using, step_id, 1):
        return outputs.of_sagas(task.using, program_of(task), done)[0]
    if failed := children.failed(task.using, step_id):
        raise PermanentFailure(f"its child {_told(task, failed)}")
    return NotYet(waits_for=children.key(step_id, children.ALL), partial=True)


def each(task: Task, context: Context) -> Any:
    """Start a child for each item, have as many begin as there is room for, and see how they end."""
    step_id, wait = task.row.id, task.step.wait
    assert wait is not None
    if not (task.row.partial or children.are_there(task.using, step_id)):
        items = task.program.do(task.row.name)(context)
        if isinstance(items, (str, bytes, dict)) or not isinstance(items, Iterable):
            raise PermanentFailure(
                f"items= of step {task.row.name} gave {type(items).__name__}. Give a list, or what can be "
                "gone through once."
            )
        if not (texts := _encoded(task, items, "items")):
            return {"items": 0}
        start(task, texts, of_many=True)
    elif failed := children.failed(task.using, step_id):
        raise PermanentFailure(f"item {failed.item}: {_told(task, failed)}")
    elif not children.unfinished(task.using, step_id, 1):
        return {"items": children.count(task.using, step_id)}
    elif wait.parallel is not None and children.let_in(task.using, step_id, wait.parallel):
        task.opened.update(_queues(program_of(task)))
    return NotYet(waits_for=children.key(step_id, wait.parallel or children.ALL), partial=True)


def undo(task: Task, context: Context) -> Any:
    """Have the children turn back, those too that completed, and wait until all of them are undone."""
    step_id = task.row.id
    again = None
    if found := children.to_take_back(task.using, step_id, _BULK):
        told = _take_back(task, [each.id for each in found])
        if told and len(found) == _BULK:
            again = clock.now(task.using)  # there may be more of them
    elif not children.unfinished(task.using, step_id, 1):
        return None
    return NotYet(until=again, waits_for=children.key(step_id, children.UNDONE), partial=True)


def _take_back(task: Task, saga_ids: Sequence[UUID]) -> int:
    known = program_of(task).definition
    recorded, told = journal.tell_all(task.using, saga_ids, known, TakenBack(), beside=task.row.saga_id)
    announcing.after_commit(task.using, recorded.transitions)
    if recorded.waiting:
        task.opened.update(recorded.left_in)
    return told


# --- starting -------------------------------------------------------------------------------------


def program_of(task: Task) -> Program:
    """Give the saga that the step starts."""
    assert task.step.wait is not None
    return registry.get(task.step.wait.name, task.step.wait.version)


def _encoded(task: Task, values: Iterable[Any], what: str) -> list[str]:
    program = program_of(task)
    try:
        if what == "input":
            return [program.encode_input(value, what) for value in values]
        return [program.encode_input(value, f"{what}[{at}]") for at, value in enumerate(values)]
    except InvalidInput as error:
        raise PermanentFailure(str(error)) from error


def start(task: Task, texts: Sequence[str], *, of_many: bool) -> None:
    """Start a child for each of ``texts``, encoded inputs, in the open transaction."""
    using, program, wait = task.using, program_of(task), task.step.wait
    assert wait is not None
    program.require_valid()
    definition_id = definitions.identify(using, program.registered.definition)
    room = len(texts) if wait.parallel is None else wait.parallel
    for at in range(0, len(texts), _BULK):
        now = clock.now(using)
        new = list(_new(task.row, definition_id, program, texts[at : at + _BULK], at, room, now, of_many))
        locking.write_new(using, program.definition, new, now)
        announcing.started(using, program, new)
    task.opened.update(_queues(program))


def _new(
    step: StepRow,
    definition_id: int,
    program: Program,
    texts: Sequence[str],
    first: int,
    room: int,
    now: datetime,
    of_many: bool,
) -> Iterator[starts.NewSaga]:
    definition = program.definition
    deadline_at = now + definition.deadline if definition.deadline else None
    free = SagaStarted(deadline_at=deadline_at)
    begun = machine.start(definition, free, now=now)
    held = replace(free, held=True)
    kept = machine.start(definition, held, now=now)
    for item, text in enumerate(texts, first):
        event, state = (free, begun) if item < room else (held, kept)
        if targets := program.targets(text):
            event = replace(event, locks=targets)
        saga_id = child_id(step.id, item)
        rows = [new_row(saga_id, definition_id, definition, each, now) for each in state.steps.values()]
        yield starts.NewSaga(
            saga_id,
            definition_id,
            definition.name,
            text,
            starter.digest(program, text),
            None,
            state,
            event,
            rows,
            parent_step=step.id,
            item=item if of_many else None,
        )


def _queues(program: Program) -> set[str]:
    return {step.queue for step in program.definition.steps}


# --- how they ended -------------------------------------------------------------------------------


def _told(task: Task, failed: children.Child) -> str:
    """Say which child was undone, and why."""
    name = task.step.wait.name if task.step.wait else ""
    return f"saga {name} {failed.id} was undone: {sagas.reasons(task.using, [failed.id])[failed.id]}"
