"""The decorators ``@step`` and ``@….compensation``: they note what is written, ``assembly`` judges it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from types import MethodType
from typing import Any, Self, TypeAlias, overload

from django_saga.core.limits import Breaker, Limits, Rate
from django_saga.core.retry import Retry
from django_saga.core.states import Alternate, ForwardRecovery
from django_saga.core.waits import WaitDefinition
from django_saga.dsl import condition
from django_saga.dsl.condition import Condition
from django_saga.dsl.hooks import HookDecorators

StepFunction: TypeAlias = Callable[..., Any]
Duration: TypeAlias = float | timedelta


class Attempted:
    """A function that a saga tries, with its policies; on an instance of the saga it is a plain method."""

    def __init__(
        self, function: StepFunction, *, retry: Retry | None, timeout: Duration | None, atomic: bool
    ) -> None:
        if not callable(function):
            raise TypeError(f"{type(self).__name__.lower()}: decorate a function, not {function!r}")
        self.function = function
        self.retry = retry
        self.timeout = timeout
        self.atomic = atomic
        self.function_name: str = getattr(function, "__name__", repr(function))
        self.__doc__ = getattr(function, "__doc__", None)

    @property
    def step_name(self) -> str:
        """The name of the step that this is or undoes."""
        raise NotImplementedError

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> StepFunction: ...

    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else MethodType(self.function, instance)


class Step(HookDecorators, Attempted):
    """A step as written in a class; ``ctx.results[step]`` and ``after=[step]`` take it or its ``name``.

    ``free``: its function stands in no class, and takes the context alone. ``wait``: see ``dsl.waits``.
    """

    free = False
    wait: WaitDefinition | None = None

    def __init__(
        self,
        function: StepFunction,
        *,
        name: str | None = None,
        after: Step | str | Iterable[Step | str] | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        deadline: Duration | None = None,
        atomic: bool = False,
        queue: str | None = None,
        max_concurrency: int | None = None,
        rate_limit: Rate | None = None,
        breaker: Breaker | None = None,
        no_compensation: bool = False,
        pivot: bool = False,
        forward_recovery: ForwardRecovery | Alternate | None = None,
        when: Condition | None = None,
    ) -> None:
        super().__init__(function, retry=retry, timeout=timeout, atomic=atomic)
        self.name = self.function_name if name is None else name
        self.after = None if after is None else _as_tuple(after)
        self.deadline = deadline
        self.queue = queue
        self.limits = Limits(max_concurrency, rate_limit, breaker)
        self.no_compensation = no_compensation
        self.pivot = pivot
        self.forward_recovery = forward_recovery
        self.when = when

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    @property
    def step_name(self) -> str:
        """The step's name."""
        return self.name

    @overload
    def compensation(self, function: StepFunction, /) -> Compensation: ...

    @overload
    def compensation(
        self, /, *, retry: Retry | None = None, timeout: Duration | None = None, atomic: bool = False
    ) -> Callable[[StepFunction], Compensation]: ...

    def compensation(self, function: StepFunction | None = None, /, **options: Any) -> Any:
        """Decorate the function that undoes this step.

        ``timeout`` bounds one attempt (seconds or ``timedelta``). ``atomic``: its effects in the database and
        the record that it is done are one transaction.
        """
        condition.refuse(f"The compensation of step {self.name}", options)

        def decorate(function: StepFunction) -> Compensation:
            return Compensation(self, function, **options)

        return decorate if function is None else decorate(function)

    @overload
    def probe(self, function: StepFunction, /) -> Probing: ...

    @overload
    def probe(
        self, /, *, retry: Retry | None = None, timeout: Duration | None = None
    ) -> Callable[[StepFunction], Probing]: ...

    def probe(self, function: StepFunction | None = None, /, **options: Any) -> Any:
        """Decorate the function that finds out whether this step had its effect, and returns a ``Probe``.

        It is asked when nobody knows how the step ended and it is not tried again. ``timeout`` bounds one
        attempt.
        """
        condition.refuse(f"The probe of step {self.name}", options)

        def decorate(function: StepFunction) -> Probing:
            return Probing(self, function, **options)

        return decorate if function is None else decorate(function)


class Probing(Attempted):
    """The function that finds out whether ``step`` had its effect."""

    def __init__(
        self,
        step: Step,
        function: StepFunction,
        *,
        retry: Retry | None = None,
        timeout: Duration | None = None,
    ) -> None:
        super().__init__(function, retry=retry, timeout=timeout, atomic=False)
        self.step = step

    def __repr__(self) -> str:
        return f"<probe {self.function_name} of step {self.step.name}>"

    @property
    def step_name(self) -> str:
        """The name of the step it asks about."""
        return self.step.name


class Compensation(Attempted):
    """The function that undoes ``step``."""

    def __init__(
        self,
        step: Step,
        function: StepFunction,
        *,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        atomic: bool = False,
    ) -> None:
        super().__init__(function, retry=retry, timeout=timeout, atomic=atomic)
        self.step = step

    def __repr__(self) -> str:
        return f"<compensation {self.function_name} of step {self.step.name}>"

    @property
    def step_name(self) -> str:
        """The name of the step it undoes."""
        return self.step.name


@overload
def step(function: StepFunction, /) -> Step: ...


@overload
def step(
    *,
    name: str | None = None,
    after: Step | str | Iterable[Step | str] | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    deadline: Duration | None = None,
    atomic: bool = False,
    queue: str | None = None,
    max_concurrency: int | None = None,
    rate_limit: Rate | None = None,
    breaker: Breaker | None = None,
    no_compensation: bool = False,
    pivot: bool = False,
    forward_recovery: ForwardRecovery | Alternate | None = None,
    when: Condition | None = None,
) -> Callable[[StepFunction], Step]: ...


def step(function: StepFunction | None = None, /, **options: Any) -> Any:
    """Make a method a step of its saga.

    ``name``: by default the function's. ``after``: the steps (or their names) whose results it needs; left
    out, the step written before it; ``[]`` starts at once. ``timeout`` bounds one attempt, ``deadline`` the
    step with all its attempts (seconds or ``timedelta``). ``atomic``: the function's effects in the database,
    its result and what comes next are one transaction. ``queue``: where workers find it.
    ``max_concurrency``: attempts under way at most, in all workers together; ``rate_limit``: attempts that
    begin in a length of time at most. ``breaker``: nothing begins for some time after too many failures. None
    of them counts or holds back the compensation.
    ``no_compensation``: there is nothing to undo. ``pivot``: once it succeeded the saga can only go forward;
    ``forward_recovery`` says what happens when a step past it failed for good. ``when``: a function of the
    context, or a method, that says whether the step is to run; if not, the saga goes on without it.
    """

    def decorate(function: StepFunction) -> Step:
        return Step(function, **options)

    return decorate if function is None else decorate(function)


def _as_tuple(after: Step | str | Iterable[Step | str]) -> tuple[Step | str, ...]:
    # A text is iterable too, but what was meant is one step.
    if isinstance(after, (Step, str)) or not isinstance(after, Iterable):
        return (after,)
    return tuple(after)
