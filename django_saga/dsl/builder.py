"""Sagas put together by calls: ``SagaBuilder("order").step(reserve, compensate=release).build()``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Self, TypeAlias, Unpack

from django_saga.dsl.building import SagaOptions, build
from django_saga.dsl.part import Draft, Earlier, Part, PartOptions, part, refuse_unknown
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import StepFunction
from django_saga.dsl.waits import Waiting

# One of several things done side by side; a list is done one after the other.
Branch: TypeAlias = "StepFunction | Part | Waiting | Sequence[Branch]"


class SagaBuilder:
    """Gathers the steps of a saga; each comes after what was added before it.

    Options are the attributes of ``Saga``, and ``description``. What it builds is a saga like one written as
    a class: started, registered and shown alike.
    """

    def __init__(self, name: str, **options: Unpack[SagaOptions]) -> None:
        refuse_unknown("SagaBuilder", options, SagaOptions)
        self._name = name
        self._options = options
        self._draft = Draft()
        self._last: tuple[str, ...] = ()
        caller = sys._getframe(1)
        self._module = str(caller.f_globals.get("__name__", ""))
        self._place = f"{self._module}:{caller.f_lineno}"

    def step(self, function: StepFunction | Part | Waiting, /, **options: Unpack[PartOptions]) -> Self:
        """Add a step: a function of the context. Options are those of ``@step``, and two more.

        ``compensate``: the function that undoes it, or ``part(function, retry=...)``. ``input``: a function
        of the context that makes what both see as ``ctx.input``.
        """
        self._last = self._add(part(function, **options), self._last)
        return self

    def parallel(self, *branches: Branch) -> Self:
        """Add branches that run side by side; what is added next waits for all of them.

        A branch is a function, ``part(function, ...)`` with options, or a list of them to run in turn.
        """
        ends = [name for branch in branches for name in self._add(branch, self._last)]
        self._last = tuple(dict.fromkeys(ends)) or self._last
        return self

    def transform(
        self,
        function: StepFunction,
        /,
        *,
        name: str | None = None,
        after: Earlier | Iterable[Earlier] | None = None,
    ) -> Self:
        """Add a step that only makes a new result of earlier ones: it has no effect, and nothing to undo."""
        return self.step(function, name=name, after=after, no_compensation=True)

    def build(self) -> type[Saga]:
        """Give the saga, registered. ``manage.py check`` and ``start()`` say what is wrong with it."""
        return build(
            self._draft,
            self._name,
            self._options,
            module=self._module,
            qualname=str(self._name),
            place=self._place,
            form=".step",
        )

    def _add(self, branch: Branch, after: tuple[str, ...]) -> tuple[str, ...]:
        if not isinstance(branch, (list, tuple)):
            return (self._draft.add(part(branch), after=after),)  # type: ignore[arg-type]
        for each in branch:
            after = self._add(each, after)
        return after
