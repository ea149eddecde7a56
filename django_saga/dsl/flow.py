"""Sagas written as a function: ``@saga def order(flow, input): ...``, traced once into a graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias, Unpack, cast, overload

from django_saga.dsl import expression
from django_saga.dsl.building import SagaOptions, build
from django_saga.dsl.condition import of_data
from django_saga.dsl.expression import Reference
from django_saga.dsl.mapping import Mapper
from django_saga.dsl.part import Draft, Part, PartOptions, StepOptions, part, refuse_unknown
from django_saga.dsl.placeholder import Placeholder, as_data, reference, steps_in
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import StepFunction
from django_saga.dsl.waits import Waiting

Traced: TypeAlias = "Callable[[Flow, Any], Any]"

_WHOLE: Any = object()  # no input of its own: the saga's


class Flow:
    """What a ``@saga`` function adds steps to.

    A step comes after the one before it, and after all whose results it takes.
    """

    def __init__(self) -> None:
        self._draft = Draft()
        self._last: tuple[str, ...] = ()
        self._block: list[str] | None = None
        self._traced = False

    def step(
        self, function: StepFunction | Part | Waiting, /, input: Any = _WHOLE, **options: Unpack[StepOptions]
    ) -> Placeholder:
        """Add a step and give what stands for its result.

        ``input``: what the step sees as ``ctx.input``, by default the saga's; data that holds placeholders
        at any depth. ``after``: steps (also as placeholders) in place of the one before it. ``when``: a
        function of the context, or a placeholder, that says whether the step is to run.
        """
        self._require_tracing()
        for called in (function, options.get("compensate")):
            if isinstance(called, Placeholder):
                raise TypeError(f"flow.step() runs functions, not {called!r}: give it as the input of one.")
        needs: tuple[str, ...] = ()
        if isinstance(when := options.get("when"), Placeholder):
            condition = as_data(when, self, "when")
            needs = tuple(steps_in(condition))
            options = {**options, "when": of_data(condition)}
        given = part(function, **cast("PartOptions", self._without_placeholders(options)))
        data = None if input is _WHOLE else as_data(input, self, f"input of step {given.name}")
        needs += () if data is None else tuple(steps_in(data))
        mapper = None if data is None else partial(expression.resolve, data)
        name = self._draft.add(given, after=self._last, needs=needs, mapper=mapper)
        if self._block is None:
            self._last = (name,)
        else:
            self._block.append(name)
        return Placeholder(self, Reference(name, ()))

    def transform(
        self,
        function: StepFunction,
        /,
        input: Any = _WHOLE,
        *,
        name: str | None = None,
        after: Any = None,
    ) -> Placeholder:
        """Add a step that only makes a new result of earlier ones: it has no effect, and nothing to undo."""
        return self.step(function, input, name=name, after=after, no_compensation=True)

    @contextmanager
    def parallel(self) -> Iterator[None]:
        """Have the steps added in this block run side by side; what comes below it waits for all of them.

        One that takes another's result, or names it in ``after``, still comes after that.
        """
        self._require_tracing()
        if self._block is not None:
            raise TypeError("flow.parallel() within flow.parallel(): its steps run side by side already.")
        self._block = []
        yield
        self._last = tuple(self._block) or self._last
        self._block = None

    def _require_tracing(self) -> None:
        if self._traced:
            raise TypeError("The @saga function has returned: steps can be added while it is traced only.")

    def _without_placeholders(self, options: StepOptions) -> StepOptions:
        after = options.get("after")
        if isinstance(after, Placeholder):
            return {**options, "after": self._step_of(after)}
        if isinstance(after, Iterable) and not isinstance(after, str):
            named = [self._step_of(each) if isinstance(each, Placeholder) else each for each in after]
            return {**options, "after": named}
        return options

    def _step_of(self, given: Placeholder) -> str:
        found = reference(given, self)
        if found is None or not found.step or found.path:
            raise TypeError(f"after=[...] takes what flow.step() gave, not {given!r}")
        return found.step

    def _finish(self, returned: Any) -> Draft:
        """Have the saga give what its function returned."""
        if returned is not None and not self._is_the_end(returned):
            data = as_data(returned, self, "what the function returns")
            mapper: Mapper = partial(expression.resolve, data)
            needs = tuple(steps_in(data))
            given = part(_output, name="output", no_compensation=True)
            self._draft.add(given, after=self._draft.ends, needs=needs, mapper=mapper)
        self._traced = True
        return self._draft

    def _is_the_end(self, returned: Any) -> bool:
        found = reference(returned, self)
        return found is not None and self._draft.ends == (found.step,) and not found.path


def _output(ctx: Any) -> Any:
    return ctx.input


@overload
def saga(function: Traced, /) -> type[Saga]: ...


@overload
def saga(*, name: str | None = None, **options: Unpack[SagaOptions]) -> Callable[[Traced], type[Saga]]: ...


def saga(
    function: Traced | None = None, /, *, name: str | None = None, **options: Unpack[SagaOptions]
) -> Any:
    """Make a saga of a function ``(flow, input)``, which is called once, at once, to see what steps it adds.

    Options are the attributes of ``Saga``; ``name`` is by default the function's, the description its
    docstring. What it returns is the saga's result. Raises ``TypeError`` where it uses a value that is not
    there yet, as in ``if r["ok"]:``.
    """
    refuse_unknown("@saga", options, SagaOptions)

    def decorate(traced: Traced) -> type[Saga]:
        if not inspect.isfunction(traced) or inspect.iscoroutinefunction(traced) or _yields(traced):
            raise TypeError(f"@saga: decorate a def function (flow, input), not {traced!r}")
        flow = Flow()
        draft = flow._finish(traced(flow, Placeholder(flow, Reference("", ()))))
        told: SagaOptions = {"description": traced.__doc__ or "", **options}
        return build(
            draft,
            traced.__name__ if name is None else name,
            told,
            module=traced.__module__,
            qualname=traced.__qualname__,
            place="",
            form="flow.step",
        )

    return decorate if function is None else decorate(function)


def _yields(function: Traced) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
