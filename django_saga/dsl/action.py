"""Functions with a name, options and a compensation, from which sagas are composed: ``@action``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack, cast, overload

from django_saga.dsl.part import (
    ActionOptions,
    CompensationOptions,
    Part,
    PartOptions,
    ProbeOptions,
    refuse_unknown,
)
from django_saga.dsl.step import StepFunction


class Action(Part):
    """A part that is known by its name, with its compensation. Called, it is the plain function."""

    def __repr__(self) -> str:
        return f"<action {self.name}>"

    def __call__(self, ctx: Any) -> Any:
        return self.function(ctx)

    @overload
    def compensation(self, function: StepFunction, /) -> StepFunction: ...

    @overload
    def compensation(
        self, /, **options: Unpack[CompensationOptions]
    ) -> Callable[[StepFunction], StepFunction]: ...

    def compensation(
        self, function: StepFunction | None = None, /, **options: Unpack[CompensationOptions]
    ) -> Any:
        """Decorate the function of the context that undoes this action; it stays a plain function."""
        refuse_unknown(f"The compensation of action {self.name}", options, CompensationOptions)

        def decorate(undo: StepFunction) -> StepFunction:
            if self.options.get("compensate") is not None:
                raise TypeError(f"Action {self.name} has a compensation already: keep one of the two.")
            compensate = Part(undo, cast("PartOptions", options))
            self.options = {**self.options, "compensate": compensate}
            return undo

        return decorate if function is None else decorate(function)

    @overload
    def probe(self, function: StepFunction, /) -> StepFunction: ...

    @overload
    def probe(self, /, **options: Unpack[ProbeOptions]) -> Callable[[StepFunction], StepFunction]: ...

    def probe(self, function: StepFunction | None = None, /, **options: Unpack[ProbeOptions]) -> Any:
        """Decorate the function of the context that finds out whether this action had its effect; it stays a
        plain function.
        """
        refuse_unknown(f"The probe of action {self.name}", options, ProbeOptions)

        def decorate(ask: StepFunction) -> StepFunction:
            if self.options.get("probe") is not None:
                raise TypeError(f"Action {self.name} has a probe already: keep one of the two.")
            self.options = {**self.options, "probe": Part(ask, cast("PartOptions", options))}
            return ask

        return decorate if function is None else decorate(function)


@overload
def action(function: StepFunction, /) -> Action: ...


@overload
def action(
    name: str | None = None, /, **options: Unpack[ActionOptions]
) -> Callable[[StepFunction], Action]: ...


def action(given: StepFunction | str | None = None, /, **options: Unpack[ActionOptions]) -> Any:
    """Make a function of the context an action, named after it or as in ``@action("reserve", timeout=30)``.

    A ``ComposedSaga`` lists the actions that its sagas may be made of. Builders and ``@saga`` functions take
    them for steps too.
    """
    refuse_unknown("@action", options, ActionOptions)
    name = given if isinstance(given, str) else None

    def decorate(function: StepFunction) -> Action:
        if not callable(function):
            raise TypeError(f"@action: decorate a function, not {function!r}")
        named = {"name": name or getattr(function, "__name__", repr(function)), **options}
        return Action(function, cast("PartOptions", named))

    return decorate(given) if callable(given) else decorate
