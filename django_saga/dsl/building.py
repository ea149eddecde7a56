"""How a draft becomes a saga: a class like one that a person wrote, with remedies in its form's words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django_saga.core.limits import Rate
from django_saga.core.states import CompensationPolicy, FailurePolicy, Grace, LockPolicy
from django_saga.core.validation import MAX_NAME_LENGTH
from django_saga.dsl import hooks
from django_saga.dsl.hooks import HookOptions
from django_saga.dsl.locks import Locks
from django_saga.dsl.part import Draft
from django_saga.dsl.registry import registry
from django_saga.dsl.saga import Saga, SagaType, make_program


class SagaOptions(HookOptions, total=False):
    """What a saga that is no class says of itself: the attributes of ``Saga``, its hooks included, and a
    description.
    """

    version: int
    input: Any
    output: Any
    queue: str
    deadline: float | timedelta | None
    failure_policy: FailurePolicy | Grace
    compensation_policy: CompensationPolicy
    max_concurrency: int | None
    rate_limit: Rate | None
    priority: int
    locks: Locks | None
    lock_policy: LockPolicy
    description: str


def build(
    draft: Draft, name: str, options: SagaOptions, *, module: str, qualname: str, place: str, form: str
) -> type[Saga]:
    """Give the saga of ``draft``, registered. ``form``: how a step is added to it, as ``flow.step``."""
    attributes: dict[str, Any] = {**options}
    # Of the saga, in front of those of its steps.
    told = {(word, ""): function for word, function in hooks.take_out(attributes).items()}
    draft.hooks = {**told, **draft.hooks}
    body = {
        "abstract": True,  # until it has its steps
        "name": name,
        "__module__": module,
        "__qualname__": qualname,
        "__doc__": attributes.pop("description", ""),
        **attributes,
    }
    saga: Any = SagaType(qualname.rpartition(".")[2], (Saga,), body)
    registry.register(make_program(saga, name, draft.assembly(), place=place, hints=_hints(form)))
    return saga  # type: ignore[no-any-return]


def _hints(add: str) -> dict[str, str]:
    return {
        "saga-name": f'Name it with up to {MAX_NAME_LENGTH} lower-case letters, digits, "_", "." and "-".',
        "version": "Give version=1, and one more whenever the steps change.",
        "no-steps": f"Add one: {add}(function).",
        "step-name": f'Use up to {MAX_NAME_LENGTH} lower-case letters, digits and "_"; name="..." sets it.',
        "duplicate-step": f'Give all but one of them another name: {add}(function, name="...").',
        "no-compensation": f"Write {add}(function, compensate=...), "
        "or no_compensation=True if there is nothing to undo.",
        "after-type": "Give the step's name, or its function where no other step has that.",
    }
