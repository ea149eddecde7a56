"""What says whether a step is to run: its ``when=``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from django_saga.dsl import expression
from django_saga.dsl.signature import takes

# Takes the context, whose ``input`` is the saga's; what it gives counts as true or false.
Condition: TypeAlias = Callable[..., Any]


def of_data(data: Any) -> Condition:
    """Give the condition that is met when ``data``, with its references replaced, counts as true."""
    return partial(expression.resolve, data, what="condition")


def name_of(condition: Any) -> str:
    """Name a condition for people; what has no name of its own is a ``condition``."""
    name = str(getattr(condition, "__name__", ""))
    return name if name.isidentifier() else "condition"


def as_method(condition: Condition, *, free: bool) -> Condition:
    """Give a condition as an attribute of its saga's class: a method if it asks for ``self``."""
    if isinstance(condition, staticmethod):
        condition = condition.__func__
    return staticmethod(condition) if free or takes(condition, 1) else condition


def misfit(condition: Any, *, free: bool) -> tuple[str, str] | None:
    """Say what is wrong with a condition, and the remedy."""
    if isinstance(condition, staticmethod):
        condition = condition.__func__
    if not callable(condition):
        return f"is {condition!r:.80}", "Give it a function: when=lambda ctx: ..."
    if inspect.iscoroutinefunction(condition):
        return "is async def", "Write def: it only looks at what is in the context."
    if inspect.isgeneratorfunction(condition) or inspect.isasyncgenfunction(condition):
        return "is a generator", "Return the answer instead of yielding it."
    if not (takes(condition, 1) or (takes(condition, 2) and not free)):
        return "cannot be called with (ctx)", "Give it exactly this parameter."
    return None


def refuse(what: str, options: Mapping[str, Any]) -> None:
    """Refuse a condition of anything but a step. Raises ``TypeError``."""
    if "when" in options:
        raise TypeError(
            f"{what} takes no when=: a condition is a step's, given where that is added to its saga."
        )
