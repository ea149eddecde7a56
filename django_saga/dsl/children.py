"""Steps that have other sagas do their work: `child(OtherSaga)` and `for_each(items, step)`.

What is done for each item is a saga too, one of a single step, unless a whole saga is given; so an item has
its attempts, its history and its compensation as any step has. Other sagas are named by their classes, so
none can be its own child, however far down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from django_saga.core.waits import WaitDefinition, WaitKind
from django_saga.dsl.assembly import Assembly
from django_saga.dsl.building import build
from django_saga.dsl.part import Draft, Part, part
from django_saga.dsl.program import Program
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import Step, StepFunction
from django_saga.dsl.waits import Giving, Waiting

Each: TypeAlias = "StepFunction | Part | type[Saga]"


class GivingItems(Giving):
    """Gives the items; ``each``: what is done for one of them, unless a saga does that."""

    each: Part | None = None


def child(
    saga: type[Saga],
    /,
    *,
    input: Callable[[Any], Any] | None = None,
    name: str | None = None,
    after: Step | str | Iterable[Step | str] | None = None,
) -> Waiting:
    """Give a step that starts a saga and waits for its end; what that saga gives is its result.

    ``input``: a function of the context that gives the saga's input; by default the step's own. If the saga
    is undone the step fails for good; if the step is undone, so is the saga, completed or not. Raises
    ``TypeError`` for what is no saga or no function.
    """
    wait = _of_saga("child()", saga, WaitKind.CHILD)
    return Waiting(Giving(_function("input", input)), wait, name=name, after=after, atomic=True)


def for_each(
    items: Callable[[Any], Iterable[Any]],
    step: Each,
    /,
    *,
    max_parallel: int | None = 50,
    name: str | None = None,
    after: Step | str | Iterable[Step | str] | None = None,
) -> Waiting:
    """Give a step that does ``step`` for each of the items that ``items``, a function of the context, gives.

    ``step``: a function, part or action that sees the item as ``ctx.input``, with a compensation or
    ``no_compensation=True``; or a saga whose input is the item. ``max_parallel``: how many items are under
    way at most (None: all). The result is ``{"items": <how many>}``; ``ctx.items(step)`` goes through theirs.
    If one fails, those under way turn back and those done are undone. Raises ``TypeError`` and ``ValueError``
    for what cannot be.
    """
    if max_parallel is not None and (type(max_parallel) is not int or max_parallel < 1):
        raise ValueError(f"for_each(max_parallel={max_parallel!r}): give a whole number from 1 on, or None.")
    giving = GivingItems(_function("items", items, required=True))
    if isinstance(step, type):
        wait = _of_saga("for_each()", step, WaitKind.EACH, max_parallel)
        _refuse_sleepers(step)
    else:
        giving.each = part(step)
        wait = WaitDefinition(kind=WaitKind.EACH, parallel=max_parallel)
    return Waiting(giving, wait, name=name, after=after, atomic=True)


def define_items(program: Program, assembly: Assembly) -> None:
    """Make the sagas that the ``for_each`` steps of ``program`` start, each registered beside it."""
    definition = program.definition
    for _, step in assembly.steps:
        each = getattr(step.function, "each", None)
        if each is None or step.name not in definition.by_name:
            continue
        draft = Draft()
        draft.add(each, after=())
        build(
            draft,
            f"{definition.name}.{step.name}",
            {
                "version": definition.version,
                "queue": definition[step.name].queue,
                "description": f"Does what step {step.name} of {definition.name} does for each item.",
            },
            module=program.saga.__module__,
            qualname=f"{program.saga.__qualname__}.{step.name}",
            place=f"{program.path}.{step.name}",
            form="part",
        )


def _of_saga(what: str, saga: Any, kind: WaitKind, parallel: int | None = None) -> WaitDefinition:
    program = vars(saga).get("program") if isinstance(saga, type) and issubclass(saga, Saga) else None
    if program is None:
        raise TypeError(f"{what} takes a saga's class that is not abstract, not {saga!r}.")
    if program.brings_graph:
        raise TypeError(f"{what}: {saga!r} is composed when it is started: there is nobody to compose it.")
    definition = program.definition
    return WaitDefinition(kind=kind, name=definition.name, version=definition.version, parallel=parallel)


def _refuse_sleepers(saga: type[Saga]) -> None:
    definition = saga.program.definition
    if any(definition[name].wait and definition[name].wait.period for name in definition.roots):  # type: ignore[union-attr]
        raise ValueError(
            f"for_each(): saga {definition.name} begins with a sleep, which would count from when the items "
            "are stored. Put a step before it."
        )


def _function(what: str, given: Any, *, required: bool = False) -> Any:
    if callable(given) or (given is None and not required):
        return given
    raise TypeError(f"{what}={given!r}: give a function of the context, as in lambda ctx: ctx.input.")
